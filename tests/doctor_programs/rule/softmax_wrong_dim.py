import torch
import torch.nn.functional as F
from torch import nn

model = nn.Sequential(nn.Linear(3, 4), nn.LogSoftmax(dim=0))
loss = F.nll_loss(model(torch.randn(2, 3)), torch.randint(0, 4, (2,)))  # finds softmax-wrong-dim certain

model = nn.Linear(4, 3)
x = torch.randn(8, 4)
loss = nn.NLLLoss()(nn.LogSoftmax(dim=0)(model(x)), torch.randint(0, 3, (8,)))  # finds softmax-wrong-dim certain
