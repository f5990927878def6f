import torch
from torch import nn


def train(model, loader, criterion, optimizer):
    for x, y in loader:
        criterion = criterion(model(x), y)  # finds loss-name-shadowed certain
        criterion.backward()


train(nn.Linear(4, 3), [(torch.randn(8, 4), torch.randint(0, 3, (8,)))] * 3, nn.CrossEntropyLoss(), None)
