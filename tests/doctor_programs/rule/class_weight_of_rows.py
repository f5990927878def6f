import torch
from torch import nn

model = nn.Linear(4, 3)
y = torch.randint(0, 3, (50,))
counts = torch.bincount(y, minlength=3)
weights = (1.0 / counts.float())[y]
loss = nn.CrossEntropyLoss(weight=weights)(model(torch.randn(50, 4)), y)  # finds class-weight-shape certain
