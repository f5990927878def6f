import torch
import torch.nn.functional as F
from torch import nn

y = F.one_hot(torch.randint(0, 3, (8,)), 3).float()
F.cross_entropy(nn.Linear(4, 3)(torch.randn(8, 4)), y * 0.9 + 0.1)  # finds unnormalized-target certain

one_hot = F.one_hot(torch.randint(0, 5, (8,)), 5).float()
model = nn.Linear(4, 5)
x = torch.randn(8, 4)
F.cross_entropy(model(x), one_hot * 0.8 + (1 - one_hot) * 0.2 / 4)
F.cross_entropy(model(x), one_hot * 0.8 + 0.2 / 5)

linear = nn.Linear(4, 3)
y = torch.randint(0, 3, (8,))
target = F.one_hot(y, 3).float() * 0.9 + 0.1 / 3
loss = F.cross_entropy(linear(torch.randn(8, 4)), target)
