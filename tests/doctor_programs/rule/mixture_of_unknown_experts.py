import torch
import torch.nn.functional as F
from torch import nn


class Mixture(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.gate = nn.Linear(4, n)
        self.experts = nn.ModuleList([nn.Linear(4, 3) for _ in range(n)])

    def forward(self, x):
        gates = F.softmax(self.gate(x), -1)
        outputs = torch.stack([expert(x) for expert in self.experts], 1)
        return (gates.unsqueeze(-1) * outputs).sum(1)


def train(loader, n):
    model = Mixture(n)
    for x, y in loader:
        loss = F.cross_entropy(model(x), y)
        loss.backward()
