import torch
from torch import nn

linear = nn.Linear(4, 3)
criterion = nn.CrossEntropyLoss()
for i in range(3):
    criterion = criterion(linear(torch.randn(8, 4)), torch.randint(0, 3, (8,)))  # finds loss-name-shadowed certain
    criterion.backward()
