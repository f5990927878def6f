import torch
import torch.nn.functional as F
from torch import nn

conv = nn.Conv2d(3, 5, 1)
z = conv(torch.randn(2, 3, 8, 8))
loss = F.cross_entropy(z.view(-1, 5), torch.randint(0, 5, (2, 8, 8)).view(-1))  # finds view-instead-of-permute certain

z = conv(torch.randn(2, 3, 8, 8))
loss = F.cross_entropy(z.permute(0, 2, 3, 1).reshape(-1, 5), torch.randint(0, 5, (2, 8, 8)).view(-1))

linear = nn.Linear(4, 5)
z = linear(torch.randn(2, 7, 4))
loss = F.cross_entropy(z.view(2, 5, 7), torch.randint(0, 5, (2, 7)))  # finds view-instead-of-permute certain
