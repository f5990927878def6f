from collections import OrderedDict

import torch
from torch import nn

model = nn.Sequential(OrderedDict([("a", nn.Linear(3, 4)), ("b", nn.Sigmoid())]))
loss = nn.CrossEntropyLoss()(model(torch.randn(2, 3)), torch.randint(0, 4, (2,)))  # finds sigmoid-before-cross-entropy certain
