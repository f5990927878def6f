import torch.nn.functional as F
from torch import nn


class Soft(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, x):
        return self.linear(x).softmax(1)


def train(model, loader):
    for x, y in loader:
        F.cross_entropy(model(x), y).backward()


def my_loss(p, y):
    return (p - y).abs().mean()
