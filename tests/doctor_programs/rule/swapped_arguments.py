import torch
import torch.nn.functional as F
from torch import nn

linear = nn.Linear(4, 3)
y = torch.randint(0, 3, (8,))
loss = nn.CrossEntropyLoss()(y, linear(torch.randn(8, 4)))  # finds swapped-arguments certain

model = nn.Linear(4, 3)
loss = F.cross_entropy(target=model(torch.randn(8, 4)), input=torch.randint(0, 3, (8,)))  # finds swapped-arguments certain
