import torch
import torch.nn.functional as F
from torch import nn

linear = nn.Linear(3, 4)
z = linear(torch.randn(2, 3))
e = torch.exp(z)
p = e / e.sum(dim=1, keepdim=True)
loss = F.cross_entropy(p, torch.randint(0, 4, (2,)))  # finds softmax-before-cross-entropy certain
