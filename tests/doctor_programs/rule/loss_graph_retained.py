import torch
import torch.nn.functional as F
from torch import nn

linear = nn.Linear(4, 3)
optimizer = torch.optim.SGD(linear.parameters(), 0.1)
total = 0
for i in range(3):
    loss = F.cross_entropy(linear(torch.randn(8, 4)), torch.randint(0, 3, (8,)))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    total += loss  # finds loss-graph-retained certain
print(total)

history = {"loss": []}
for i in range(3):
    loss = F.cross_entropy(linear(torch.randn(8, 4)), torch.randint(0, 3, (8,)))
    loss.backward()
    history["loss"].append(loss)  # finds loss-graph-retained certain
