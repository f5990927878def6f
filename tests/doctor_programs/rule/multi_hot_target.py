import torch
import torch.nn.functional as F
from torch import nn

linear = nn.Linear(4, 3)
y = torch.tensor([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
loss = F.cross_entropy(linear(torch.randn(2, 4)), y)  # finds multi-hot-target certain
