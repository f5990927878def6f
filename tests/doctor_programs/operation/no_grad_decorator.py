import torch
import torch.nn.functional as F
from torch import nn

model = nn.Linear(4, 5)


@torch.no_grad()
def run(x):
    return model(x)


for x, y in loader:
    loss = F.cross_entropy(run(x), y)
    loss.backward()  # finds detached-loss certain
