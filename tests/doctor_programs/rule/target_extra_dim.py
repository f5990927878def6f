import torch
import torch.nn.functional as F
from torch import nn

linear = nn.Linear(4, 3)
y = torch.tensor([[0], [1], [2]])
loss = F.cross_entropy(linear(torch.randn(3, 4)), y)  # finds target-extra-dim certain

y = torch.tensor([0, 1, 2]).unsqueeze(1)
loss = F.cross_entropy(linear(torch.randn(3, 4)), y)  # finds target-extra-dim certain
