import torch
import torch.nn.functional as F
from torch import nn

net = nn.Conv2d(2, 3, 1)
mask = torch.randint(0, 3, (4, 8, 8))
full = torch.zeros(4, 3, 8, 8, dtype=mask.dtype).scatter_(1, mask.unsqueeze(1), 1)
loss = F.cross_entropy(net(torch.rand(4, 2, 8, 8)), full)  # finds one-hot-target certain
loss = F.cross_entropy(net(torch.rand(4, 2, 8, 8)), full.argmax(1))

tags = torch.randint(0, 6, (4, 2))
several = torch.zeros(4, 6).scatter_(1, tags, 1.0)
loss = F.cross_entropy(nn.Linear(5, 6)(torch.rand(4, 5)), several)  # finds multi-hot-target certain
loss = F.binary_cross_entropy_with_logits(nn.Linear(5, 6)(torch.rand(4, 5)), several)
