import random

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

N, C = 16, 5
model = nn.Linear(8, C)
x, y = torch.randn(N, 8), torch.randint(0, C, (N,))
mask = (torch.rand(N, C) > 0.5).float()
loss = F.cross_entropy(model(x) * mask, y)
loss = F.cross_entropy(model(x), mask.argmax(1))
loss = F.cross_entropy(model(x), torch.bernoulli(torch.full((N,), 0.3)).long())

lam = np.random.beta(1, 1)
rows = F.one_hot(y, C).float()
loss = F.cross_entropy(model(x), lam * rows + (1 - lam) * torch.full((N, C), 1 / C))
loss = F.cross_entropy(model(x), (1 - lam) * rows + lam / C)
loss = lam * F.cross_entropy(model(x), y) + (1 - lam) * F.cross_entropy(model(x), y.flip(0))


def batches(n):
    for _ in range(n):
        yield torch.randn(N, 8), torch.randint(0, C, (N,)), torch.rand(C)


for features, labels, weight in batches(3):
    loss = F.cross_entropy(model(features), labels, weight=weight)

total, count = 0, 0
for _ in range(4):
    k = random.randint(3, 9)
    total = total + k * F.cross_entropy(model(torch.randn(k, 8)), torch.randint(0, C, (k,)))
    count += k
(total / count).backward()

causal = torch.triu(torch.ones(N, N), 1).bool()
attention = torch.softmax((model(x) @ model(x).t()).masked_fill(causal, -torch.inf), -1)
loss = F.cross_entropy(attention @ model(x), y)
