import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self, soft):
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.soft = soft

    def forward(self, x):
        return self.linear(x).softmax(1) if self.soft else self.linear(x)


def train(model, loader):
    for x, y in loader:
        F.cross_entropy(model(x), y).backward()
