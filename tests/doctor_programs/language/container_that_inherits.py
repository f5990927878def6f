import torch
from torch import nn


class Heads(nn.ModuleDict):
    def __init__(self, last):
        super().__init__({"kind": nn.Sequential(nn.Linear(5, 4), last)})

    def forward(self, x):
        return {name: head(x) for name, head in self.items()}


class Stack(nn.Sequential):
    def __init__(self, last):
        super().__init__()
        self.add_module("fc", nn.Linear(5, 4))
        self.add_module("last", last)


x, y = torch.randn(8, 5), torch.randint(0, 4, (8,))
criterion = nn.CrossEntropyLoss()
criterion(Heads(nn.Sigmoid())(x)["kind"], y).backward()  # finds sigmoid-before-cross-entropy certain
criterion(Heads(nn.Identity())(x)["kind"], y).backward()
criterion(Stack(nn.Softmax(1))(x), y).backward()  # finds softmax-before-cross-entropy certain
criterion(Stack(nn.Identity())(x), y).backward()
