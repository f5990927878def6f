import torch
from torch import nn

model = nn.Sequential(nn.Linear(4, 3), nn.LogSoftmax(1))
criterion = nn.CrossEntropyLoss()
criterion = nn.NLLLoss()
loss = criterion(model(torch.randn(2, 4)), torch.randint(0, 3, (2,)))
