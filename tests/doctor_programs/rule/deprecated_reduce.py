import torch
import torch.nn.functional as F
from torch import nn

ce = nn.CrossEntropyLoss(reduce=False)  # finds deprecated-reduce certain

linear = nn.Linear(4, 3)
loss = F.cross_entropy(linear(torch.randn(8, 4)), torch.randint(0, 3, (8,)), None, False)  # finds deprecated-reduce certain
