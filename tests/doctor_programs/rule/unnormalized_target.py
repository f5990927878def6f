import torch
import torch.nn.functional as F
from torch import nn

linear, teacher = nn.Linear(4, 3), nn.Linear(4, 3)
x = torch.randn(8, 4)
loss = F.cross_entropy(linear(x), torch.sigmoid(teacher(x)).detach())  # finds unnormalized-target certain

linear = nn.Linear(4, 3)
x = torch.randn(8, 4)
loss = F.cross_entropy(linear(x), torch.rand(8, 3))  # finds unnormalized-target certain
