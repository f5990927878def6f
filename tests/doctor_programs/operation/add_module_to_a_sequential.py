import torch
from torch import nn

model = nn.Sequential()
model.add_module("fc", nn.Linear(3, 4))
model.add_module("sm", nn.Softmax(dim=1))
loss = nn.CrossEntropyLoss()(model(torch.randn(2, 3)), torch.randint(0, 4, (2,)))  # finds softmax-before-cross-entropy certain
