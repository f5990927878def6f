import torch
from torch import nn

model = nn.Linear(4, 3)
counts = [10, 20]
weights = torch.tensor([sum(counts) / count for count in counts])
loss = nn.CrossEntropyLoss(weight=weights)(model(torch.randn(50, 4)), torch.randint(0, 3, (50,)))  # finds class-weight-shape certain
