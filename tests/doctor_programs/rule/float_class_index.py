import torch
import torch.nn.functional as F
from torch import nn

linear = nn.Linear(4, 3)
y = torch.randint(0, 3, (8,)).float()
loss = F.cross_entropy(linear(torch.randn(8, 4)), y)  # finds float-class-index certain

y = torch.tensor([0.0, 1.0, 2.0])
loss = F.cross_entropy(linear(torch.randn(3, 4)), y)  # finds float-class-index certain
