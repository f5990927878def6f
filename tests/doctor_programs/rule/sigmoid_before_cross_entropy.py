import torch
import torch.nn.functional as F
from torch import nn

model = nn.Sequential(nn.Linear(4, 2), nn.Sigmoid())
loss = F.cross_entropy(model(torch.randn(8, 4)), torch.randint(0, 2, (8,)))  # finds sigmoid-before-cross-entropy certain
