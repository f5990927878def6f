import torch
import torch.nn.functional as F
from torch import nn

linear = nn.Linear(4, 3)
y = torch.full((8,), -100)
loss = F.cross_entropy(linear(torch.randn(8, 4)), y)  # finds all-targets-ignored certain
