import torch.nn.functional as F
from torch import nn


def step(model, x, y, normalize):
    z = nn.Linear(4, 3)(x)
    if normalize:
        z = z.softmax(1)
    return F.cross_entropy(z, y)
