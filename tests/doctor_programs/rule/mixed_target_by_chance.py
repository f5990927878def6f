import random

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

model = nn.Linear(8, 4)
beta = torch.distributions.Beta(0.4, 0.4)


def mixed(lam, other, x, y):
    rows = F.one_hot(y, 4).float()
    order = torch.randperm(len(y))
    return model(lam * x + (1 - lam) * x[order]), lam * rows + other * rows[order]


x, y = torch.randn(16, 8), torch.randint(0, 4, (16,))
rows = F.one_hot(y, 4).float()
lam = beta.sample()
loss = F.cross_entropy(model(x), lam * rows + lam * rows.flip(0))  # finds unnormalized-target certain
loss = F.cross_entropy(model(x), rows + lam * rows.flip(0))  # finds unnormalized-target certain
loss = F.cross_entropy(model(x), lam * rows + (1 - lam) * rows.flip(0))
loss = F.cross_entropy(model(x), rows - lam * rows + lam * rows.flip(0))

lam = np.random.beta(0.2, 0.2)
z, target = mixed(lam, 1 - lam, x, y)
loss = F.cross_entropy(z, target)
z, target = mixed(lam, lam, x, y)
loss = F.cross_entropy(z, target)  # finds unnormalized-target certain

for lam in (random.random(), random.betavariate(1, 1), torch.rand(1), torch.rand(1).item(), torch.rand(16, 1)):
    loss = F.cross_entropy(model(x), (1 - lam) * rows + (1 - lam) * rows.flip(0))  # finds unnormalized-target certain
    loss = F.cross_entropy(model(x), rows * lam + rows.flip(0) * (1 - lam))
    loss = F.cross_entropy(model(x), rows.mul(lam)) + F.cross_entropy(model(x), rows.flip(0) * (1 - lam))

weights = torch.distributions.Dirichlet(torch.ones(3)).sample()
loss = F.cross_entropy(model(x), weights[0] * rows + weights[1] * rows.flip(0) + weights[2] * rows.roll(1, 0))
lam = max(lam, 1 - lam)
loss = F.cross_entropy(model(x), lam * rows + (1 - lam) * rows.flip(0))
