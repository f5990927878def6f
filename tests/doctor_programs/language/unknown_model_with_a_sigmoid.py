import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, x):
        return torch.sigmoid(self.linear(x))


def train(model, loader):
    criterion = nn.BCEWithLogitsLoss()
    for x, y in loader:
        criterion(model(x).squeeze(1), y).backward()  # finds sigmoid-before-bce-with-logits likely
