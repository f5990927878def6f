import torch
from torch import nn

model = nn.Sequential(nn.Linear(3, 4), nn.Softmax(dim=1))
if torch.cuda.is_available():
    criterion = nn.CrossEntropyLoss(weight=torch.ones(4).cuda()).cuda()
else:
    criterion = nn.CrossEntropyLoss(weight=torch.ones(4))
loss = criterion(model(torch.randn(2, 3)), torch.randint(0, 4, (2,)))  # finds softmax-before-cross-entropy certain
