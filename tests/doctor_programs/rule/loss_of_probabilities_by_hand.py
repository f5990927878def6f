import torch
from torch import nn


class ProbabilityLoss(nn.Module):
    def forward(self, p, y):
        return -(p.gather(1, y.unsqueeze(1)).clamp(min=1e-6)).mean()


model = nn.Sequential(nn.Linear(4, 3), nn.Softmax(1))
loss = ProbabilityLoss()(model(torch.randn(2, 4)), torch.randint(0, 3, (2,)))
loss.backward()
