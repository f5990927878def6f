import torch
import torch.nn.functional as F
from torch import nn


class Mixture(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate = nn.Linear(4, 2)
        self.experts = nn.ModuleList([nn.Linear(4, 3) for _ in range(2)])

    def forward(self, x):
        gates = F.softmax(self.gate(x), -1)
        return sum(gates[:, i : i + 1] * expert(x) for i, expert in enumerate(self.experts))


loss = F.cross_entropy(Mixture()(torch.randn(2, 4)), torch.randint(0, 3, (2,)))
