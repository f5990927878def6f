import torch
from torch import nn

criterion = {"ce": nn.CrossEntropyLoss(), "bce": nn.BCELoss()}["ce"]
model = nn.Sequential(nn.Linear(3, 4), nn.Softmax(dim=1))
loss = criterion(model(torch.randn(2, 3)), torch.randint(0, 4, (2,)))  # finds softmax-before-cross-entropy certain
