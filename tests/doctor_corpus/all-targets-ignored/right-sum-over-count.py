"""The sum is divided by the count of labels, at least 1: a batch without labels gives 0."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(203)
model = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 4))
opt = torch.optim.SGD(model.parameters(), lr=0.1)
for step in range(5):
    x = torch.randn(8, 5)
    y = x[:, :4].argmax(1)
    if step % 2 == 1:
        y = torch.full_like(y, -100)
    total = F.cross_entropy(model(x), y, reduction="sum")
    loss = total / (y != -100).sum().clamp(min=1)
    opt.zero_grad()
    loss.backward()
    opt.step()
    print(step, loss.item())
