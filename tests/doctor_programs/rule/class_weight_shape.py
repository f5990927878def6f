import torch
from torch import nn

linear = nn.Linear(4, 3)
loss = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0]))(linear(torch.randn(8, 4)), torch.randint(0, 3, (8,)))  # finds class-weight-shape certain
