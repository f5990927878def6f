import sys

import torch
import torch.nn.functional as F
from torch import nn

model = nn.Sequential(nn.Linear(3, 4), nn.Softmax(dim=1))
hard = "--hard" in sys.argv
criterion = nn.CrossEntropyLoss() if hard else nn.MSELoss()
loss = criterion(model(torch.randn(2, 3)), torch.rand(2, 4).softmax(1))  # finds softmax-before-cross-entropy likely

measure = F.cross_entropy if hard else F.nll_loss
loss = measure(model(torch.randn(2, 3)), torch.randint(0, 4, (2,)))  # finds softmax-before-cross-entropy likely; softmax-before-nll likely
