import torch
import torch.nn.functional as F
from torch import nn

linear = nn.Linear(4, 3)
loss = F.cross_entropy(linear(torch.randn(8, 4)).data, torch.randint(0, 3, (8,)))
loss.requires_grad_()
loss.backward()  # finds detached-loss certain
