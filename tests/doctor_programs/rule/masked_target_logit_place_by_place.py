import torch
import torch.nn.functional as F
from torch import nn

N = 16
model = nn.Linear(8, 4)
x = torch.randn(N, 8)
places = torch.arange(N)
z = model(x) @ model(x).t()
z[places, places] = float("-inf")
loss = F.cross_entropy(z, torch.arange(N))  # finds masked-target-logit certain
z = model(x) @ model(x).t()
for i in range(N):
    z[i, i] = float("-inf")
loss = F.cross_entropy(z, torch.arange(N))  # finds masked-target-logit certain
loss = F.cross_entropy(z, torch.arange(N).roll(1))

z = model(x) @ model(x).t()
z[places, (places + 1) % N] = float("-inf")
loss = F.cross_entropy(z, torch.arange(N))
