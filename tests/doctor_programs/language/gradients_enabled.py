import torch
import torch.nn.functional as F
from torch import nn

model = nn.Linear(4, 3)


def cached(x, y):
    loss = F.cross_entropy(model(x), y)
    if torch.is_grad_enabled():
        loss.backward()
    return loss


x, y = torch.randn(8, 4), torch.randint(0, 3, (8,))
cached(x, y)
with torch.no_grad():
    cached(x, y)
