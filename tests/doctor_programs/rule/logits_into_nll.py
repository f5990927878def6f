import torch
from torch import nn

x, y = torch.randn(8, 4), torch.randint(0, 3, (8,))
loss = nn.NLLLoss()(nn.Linear(4, 3)(x), y)  # finds logits-into-nll certain
loss = nn.NLLLoss()(nn.Sequential(nn.Linear(4, 3), nn.LogSoftmax(dim=1))(x), y)
