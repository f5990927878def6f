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
    total += loss.item() * len(part_x)
    n += len(part_x)
print(total / n)


def evaluate(model, loader):
    model.eval()
    total = 0
    correct = 0
    n = 0
    with torch.no_grad():
        for x, y in loader:
            z = model(x)
            total += F.cross_entropy(z, y, reduction="sum").item()
            correct += (z.softmax(1).argmax(1) == y).sum().item()
            n += y.size(0)
    return total / n, correct / n


evaluate(
    model,
    torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(10, 4), torch.randint(0, 3, (10,))), 4),
)
