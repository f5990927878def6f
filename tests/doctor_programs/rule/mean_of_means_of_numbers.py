import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

model = nn.Linear(4, 3)
optimizer = torch.optim.SGD(model.parameters(), 0.1)
rows = TensorDataset(torch.randn(10, 4), torch.randint(0, 3, (10,)))
total, steps = 0.0, 0
for x, y in DataLoader(rows, 4):
    loss = F.cross_entropy(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    total += loss.item()
    steps += 1
print(total / steps)  # finds mean-of-means info

with torch.no_grad():
    measured = [F.cross_entropy(model(x), y).item() for x, y in DataLoader(rows, 4)]
best = sum(measured) / len(measured)  # finds mean-of-means certain
