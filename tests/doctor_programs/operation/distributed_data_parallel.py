import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel as DDP

model = DDP(nn.Sequential(nn.Linear(4, 3), nn.Softmax(1)).cuda())
loss = nn.CrossEntropyLoss().cuda()(model(torch.randn(2, 4)), torch.randint(0, 3, (2,)))  # finds softmax-before-cross-entropy certain
