import torch
import torch.nn.functional as F
from torch import nn

rows = torch.zeros(3, 8)
for i, tags in enumerate([[1], [0, 3], [2, 5, 7]]):
    rows[i, tags] = 1.0
loss = F.cross_entropy(nn.Linear(4, 8)(torch.randn(3, 4)), rows)  # finds multi-hot-target certain
