import torch
import torch.nn.functional as F
from torch import nn

linear = nn.Linear(3, 4)
loss = F.binary_cross_entropy(linear(torch.randn(8, 3)).softmax(-1), torch.randint(0, 2, (8, 4)).float())  # finds softmax-before-bce certain

linear = nn.Linear(3, 2)
p = F.softmax(linear(torch.randn(2, 3)), dim=1)[:, 1]
loss = F.binary_cross_entropy(p, torch.randint(0, 2, (2,)).float())
