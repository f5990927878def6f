import torch
import torch.nn.functional as F
from torch import nn

linear = nn.Linear(4, 3)
y = torch.randint(1, 4, (8,))
loss = F.cross_entropy(linear(torch.randn(8, 4)), y)  # finds label-out-of-range certain

y = torch.randint(0, 3, (8,))
y[y == 2] = -1
loss = F.cross_entropy(linear(torch.randn(8, 4)), y)  # finds label-out-of-range certain

model = nn.Linear(4, 3)
y = torch.tensor([1, 2, 3, 1])
loss = F.cross_entropy(model(torch.randn(4, 4)), y)  # finds label-out-of-range certain
