import torch
import torch.nn.functional as F
from torch import nn

linear = nn.Linear(4, 3)
loss = F.cross_entropy(linear(torch.randn(8, 4)).detach(), torch.randint(0, 3, (8,)))
loss.requires_grad = True
loss.backward()  # finds detached-loss certain

model = nn.Linear(4, 5)
for x, y in loader:
    out = model(x).detach()
    loss = F.cross_entropy(out, y)
    loss.requires_grad_(True)
    loss.backward()  # finds detached-loss certain
