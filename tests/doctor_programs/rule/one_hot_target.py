import torch
import torch.nn.functional as F
from torch import nn

linear = nn.Linear(3, 4)
loss = F.cross_entropy(linear(torch.randn(2, 3)), F.one_hot(torch.randint(0, 4, (2,)), 4))  # finds one-hot-target certain

y = torch.randint(0, 4, (8,))
target = torch.zeros(8, 4, dtype=torch.long).scatter_(1, y.unsqueeze(1), 1)
loss = F.cross_entropy(linear(torch.randn(8, 3)), target)  # finds one-hot-target certain
