import torch
import torch.nn.functional as F
from torch import nn


class Meter:
    def __init__(self):
        self.sum = 0
        self.n = 0

    def update(self, value):
        self.sum += value  # finds loss-graph-retained certain
        self.n += 1


model = nn.Linear(4, 3)
optimizer = torch.optim.SGD(model.parameters(), 0.1)
meter = Meter()
for i in range(5):
    loss = F.cross_entropy(model(torch.randn(8, 4)), torch.randint(0, 3, (8,)))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    meter.update(loss)
