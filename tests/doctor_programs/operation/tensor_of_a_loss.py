import torch
import torch.nn.functional as F
from torch import nn

linear = nn.Linear(4, 3)
loss = torch.tensor(F.cross_entropy(linear(torch.randn(8, 4)), torch.randint(0, 3, (8,))), requires_grad=True)
loss.backward()  # finds detached-loss certain

model = nn.Linear(4, 5)
for x, y in loader:
    loss = torch.tensor(F.cross_entropy(model(x), y).item(), requires_grad=True)
    loss.backward()  # finds detached-loss certain
