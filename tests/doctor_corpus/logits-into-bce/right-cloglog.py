"""Complementary log-log link: 1 - exp(-rate) is a probability without any sigmoid."""
import torch
from torch import nn
import torch.nn.functional as F


class Survival(nn.Module):
    def __init__(self):
        super().__init__()
        self.rate = nn.Sequential(nn.Linear(4, 12), nn.Tanh(), nn.Linear(12, 1))

    def forward(self, x):
        hazard = F.softplus(self.rate(x)).squeeze(-1)
        return -torch.expm1(-hazard)


torch.manual_seed(63)
patients = torch.randn(60, 4)
event = (patients[:, 1] > 0.2).float()
model = Survival()
opt = torch.optim.Adam(model.parameters(), lr=1e-2)
bce = nn.BCELoss()
for epoch in range(5):
    loss = bce(model(patients), event)
    opt.zero_grad()
    loss.backward()
    opt.step()
    print(epoch, loss.item())
