import torch
import torch.nn.functional as F
from torch import nn

model = nn.Linear(4, 5)
y = torch.randint(0, 5, (8,))
z = model(torch.randn(8, 4))
z[:, 0] = float("-inf")
loss = F.cross_entropy(z, y)  # finds masked-target-logit certain

y = torch.randint(1, 5, (8,))
z = model(torch.randn(8, 4))
z[:, 0] = float("-inf")
loss = F.cross_entropy(z, y)
