import torch
import torch.nn.functional as F
from torch import nn

linear = nn.Linear(4, 3)
x, y = torch.randn(8, 4), torch.randint(0, 3, (8,))
loss = F.cross_entropy(F.log_softmax(linear(x), dim=1), y)  # finds log-softmax-before-cross-entropy info
loss = F.nll_loss(F.log_softmax(linear(x), dim=1), y)
