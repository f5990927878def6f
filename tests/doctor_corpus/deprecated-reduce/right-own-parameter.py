"""`reduce` and `size_average` are names of this project's own functions here, not of torch's losses."""
from functools import reduce

import torch
import torch.nn as nn
import torch.nn.functional as F


class Objective(nn.Module):
    def __init__(self, reduce=True, size_average=True):
        super().__init__()
        self.reduction = ("mean" if size_average else "sum") if reduce else "none"

    def forward(self, logits, target):
        return F.cross_entropy(logits, target, reduction=self.reduction)


torch.manual_seed(333)
model = nn.Linear(6, 3)
objectives = [Objective(reduce=True), Objective(reduce=True, size_average=True)]
opt = torch.optim.SGD(model.parameters(), lr=0.1)
x = torch.randn(30, 6)
y = x[:, :3].argmax(1)
for step in range(5):
    logits = model(x)
    loss = reduce(torch.add, [objective(logits, y) for objective in objectives]) / len(objectives)
    opt.zero_grad()
    loss.backward()
    opt.step()
    print(step, loss.item())
