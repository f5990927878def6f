import torch
import torch.nn.functional as F
from torch import nn

N, C = 16, 5
model = nn.Linear(8, C)
x = torch.randn(N, 8)
two = torch.randint(0, C, (N, 2))
rows = F.one_hot(two, C)
loss = F.cross_entropy(model(x), rows.amax(1).float())  # finds multi-hot-target certain
loss = F.cross_entropy(model(x), rows.max(dim=1).values.float())  # finds multi-hot-target certain
loss = F.cross_entropy(model(x), rows.any(1).float())  # finds multi-hot-target certain
loss = F.cross_entropy(model(x), (rows.sum(1) > 0).float())  # finds multi-hot-target certain
loss = F.cross_entropy(model(x), rows.sum(1).clamp(max=1).float())  # finds multi-hot-target certain
loss = F.cross_entropy(model(x), (rows[:, 0] | rows[:, 1]).float())  # finds multi-hot-target certain
loss = F.cross_entropy(model(x), torch.maximum(rows[:, 0], rows[:, 1]).float())  # finds multi-hot-target certain
loss = F.cross_entropy(model(x), torch.randint(0, 2, (N, C)).float())  # finds multi-hot-target likely
loss = F.cross_entropy(model(x), torch.bernoulli(torch.full((N, C), 0.3)))  # finds multi-hot-target likely

loss = F.cross_entropy(model(x), rows.float().mean(1))
loss = F.cross_entropy(model(x), F.one_hot(two[:, :1], C).amax(1).float())
loss = F.cross_entropy(model(x), rows.amax(1).float() / rows.amax(1).sum(1, keepdim=True))
loss = F.binary_cross_entropy_with_logits(model(x), rows.amax(1).float())
