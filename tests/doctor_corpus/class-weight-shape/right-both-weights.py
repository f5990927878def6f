"""One weight for each class in the loss, and one for each row outside of it; there are as many rows as classes."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(213)
CLASSES = ROWS = 6
class_weight = torch.tensor([1.0, 2.0, 0.5, 1.0, 1.5, 3.0])
model = nn.Linear(10, CLASSES)
opt = torch.optim.SGD(model.parameters(), lr=0.1)
for step in range(5):
    x = torch.randn(ROWS, 10)
    y = x[:, :CLASSES].argmax(1)
    row_weight = 0.5 + torch.rand(ROWS)
    losses = F.cross_entropy(model(x), y, weight=class_weight, reduction="none")
    loss = (losses * row_weight).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
    print(step, loss.item())
