import torch
import torch.nn.functional as F
from torch import nn

linear = nn.Linear(4, 3)
optimizer = torch.optim.SGD(linear.parameters(), 0.1)
x, y = torch.randn(10, 4), torch.randint(0, 3, (10,))
for epoch in range(3):
    optimizer.zero_grad()
    for part_x, part_y in zip(x.split(4), y.split(4)):
        loss = F.cross_entropy(linear(part_x), part_y) / 3
        loss.backward()  # finds mean-of-means certain
    optimizer.step()
