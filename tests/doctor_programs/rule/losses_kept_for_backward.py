import torch
import torch.nn.functional as F
from torch import nn

linear = nn.Linear(4, 3)
losses = []
for i in range(3):
    losses.append(F.cross_entropy(linear(torch.randn(8, 4)), torch.randint(0, 3, (8,))))
sum(losses).backward()
