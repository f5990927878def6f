import torch
import torch.nn.functional as F
from torch import nn

model = nn.Linear(4, 3)
x = torch.randn(8, 4)
y = torch.randint(0, 3, (8,))
moved = x.detach().clone().requires_grad_(True)
first = F.cross_entropy(model(moved), y)
first.backward()
moved_again = (moved + 0.1 * moved.grad.sign()).detach()
loss = F.cross_entropy(model(moved_again), y)
loss.backward()
