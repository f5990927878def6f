import torch
import torch.nn.functional as F
from torch import nn

linear = nn.Linear(4, 3)
losses = []
for n in (3, 5):
    losses.append(F.cross_entropy(linear(torch.randn(n, 4)), torch.randint(0, 3, (n,))))
loss = torch.stack(losses).mean()  # finds mean-of-means certain
loss.backward()
