import torch
from torch import nn

linear = nn.Linear(4, 3)
loss = nn.CrossEntropyLoss(linear(torch.randn(8, 4)), torch.randint(0, 3, (8,)))  # finds loss-constructor-call certain
loss.backward()


def train(model, loader):
    for x, y in loader:
        out = model(x)
        loss = nn.CrossEntropyLoss(out, y)  # finds loss-constructor-call certain
        loss.backward()


def train_weighted(model, loader, weights):
    criterion = nn.CrossEntropyLoss(weights)
    for x, y in loader:
        loss = criterion(model(x), y)
        loss.backward()
