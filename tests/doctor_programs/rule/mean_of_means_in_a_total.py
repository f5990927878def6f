import torch
import torch.nn.functional as F
from torch import nn

model = nn.Linear(4, 3)
optimizer = torch.optim.SGD(model.parameters(), 0.1)
x, y = torch.randn(10, 4), torch.randint(0, 3, (10,))
total = 0.0
n = 0
for part_x, part_y in zip(x.split(4), y.split(4)):
    loss = F.cross_entropy(model(part_x), part_y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    total += loss.item()
    n += 1
print(total / n)  # finds mean-of-means info
