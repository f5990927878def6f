import torch
import torch.nn.functional as F
from torch import nn

x, y = torch.randn(8, 4), torch.randint(0, 2, (8,))
loss = F.cross_entropy(nn.Linear(4, 1)(x), torch.zeros(8, dtype=torch.long))  # finds single-logit-cross-entropy certain
loss = F.cross_entropy(nn.Linear(4, 1)(x), y.float().unsqueeze(1))  # finds single-logit-cross-entropy certain
loss = F.cross_entropy(nn.Linear(4, 1)(x), torch.rand(8, 1))  # finds single-logit-cross-entropy certain
loss = F.cross_entropy(nn.Linear(4, 2)(x), y)
loss = F.binary_cross_entropy_with_logits(nn.Linear(4, 1)(x).squeeze(1), y.float())
