import torch
import torch.nn.functional as F
from torch import nn

linear = nn.Linear(3, 4)
p = F.softmax(linear(torch.randn(2, 3)), dim=1)
loss = F.nll_loss(torch.log(p + 1e-8), torch.randint(0, 4, (2,)))  # finds log-of-softmax certain

p = F.softmax(linear(torch.randn(2, 3)), dim=1)
loss = nn.NLLLoss()(p.clamp(min=1e-7).log(), torch.randint(0, 4, (2,)))  # finds log-of-softmax certain
