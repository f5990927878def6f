import torch
from torch import nn

z = nn.Linear(4, 3)(torch.randn(8, 4)).log_softmax(1)
y = torch.randint(0, 3, (8, 1))
loss = -z[torch.arange(8), y].mean()  # finds target-extra-dim certain
