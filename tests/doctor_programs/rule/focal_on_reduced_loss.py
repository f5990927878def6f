import torch
import torch.nn.functional as F
from torch import nn

linear = nn.Linear(4, 3)
ce = F.cross_entropy(linear(torch.randn(8, 4)), torch.randint(0, 3, (8,)))
pt = torch.exp(-ce)
loss = ((1 - pt) ** 2 * ce).mean()  # finds focal-on-reduced-loss certain
loss.backward()

ce = F.cross_entropy(linear(torch.randn(8, 4)), torch.randint(0, 3, (8,)), reduction="none")
pt = torch.exp(-ce)
loss = ((1 - pt) ** 2 * ce).mean()
loss.backward()
