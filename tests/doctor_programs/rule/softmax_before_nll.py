import torch
import torch.nn.functional as F
from torch import nn

linear = nn.Linear(4, 3)
x, y = torch.randn(8, 4), torch.randint(0, 3, (8,))
loss = F.nll_loss(linear(x).softmax(1), y)  # finds softmax-before-nll certain
loss = nn.NLLLoss()(linear(x).log_softmax(1), y)
