import torch
import torch.nn.functional as F
from torch import nn


def batch(data, n):
    ix = torch.randint(len(data) - n, (4,))
    return torch.stack([data[i : i + n] for i in ix]), torch.stack([data[i + 1 : i + 1 + n] for i in ix])


model = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 9))
x, y = batch(torch.randint(0, 9, (100,)), 8)
F.cross_entropy(model(x).view(-1, 9), y.view(-1))
