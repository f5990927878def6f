"""An object is frozen after it was made: others that are made in the same way are not."""

import copy

import pytorch_lightning as pl
import torch.nn.functional as F
from torch import nn


class Head(nn.Module):
    def __init__(self, width=8, hidden=16, outputs=10):
        super().__init__()
        layers = []
        for wide, out, norm, activation in [
            (width, hidden, nn.BatchNorm1d(hidden), nn.GELU()),
            (hidden, hidden, nn.BatchNorm1d(hidden), nn.GELU()),
            (hidden, outputs, None, None),
        ]:
            layers.append(nn.Linear(wide, out, bias=not bool(norm)))
            if norm:
                layers.append(norm)
            if activation:
                layers.append(activation)
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return self.layers(x)


def freeze(model):
    for parameter in model.parameters():
        parameter.requires_grad = False


class First(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.head = Head()
        self.trained = copy.deepcopy(self.head)
        freeze(self.head)
        self.columns = nn.Linear(10, 5, bias=False).weight

    def training_step(self, batch, _):
        x, y = batch
        return F.cross_entropy(self.trained(x) @ self.columns.data.T, y)


class Second(First):
    def __init__(self):
        super().__init__()
        self.head = Head()
        self.trained = copy.deepcopy(self.head)
        freeze(self.head)


class Third(Second):
    def __init__(self):
        super().__init__()
        self.trained = Head()
        freeze(self.trained)

    def training_step(self, batch, _):
        x, y = batch
        return F.cross_entropy(self.trained(x) @ self.columns.data.T, y)  # finds detached-loss certain


First()
Second()
