import torch
import torch.nn.functional as F
from torch import nn

linear = nn.Linear(4, 3)
with torch.no_grad():
    z = linear(torch.randn(8, 4))
loss = F.cross_entropy(z, torch.randint(0, 3, (8,)))
loss.backward()  # finds detached-loss certain
