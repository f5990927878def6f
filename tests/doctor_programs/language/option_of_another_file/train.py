"""A program is followed with each value that it compares an option with, and not with its default alone."""

import torch.nn.functional as F
from options import options
from torch import nn


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.last = nn.Linear(8, 4)

    def forward(self, x):
        return self.last(x)


class Squashed(Plain):
    def forward(self, x):
        return F.softmax(self.last(x), dim=1)


def build(name):
    if name == "plain":
        return Plain()
    elif name == "squashed":
        return Squashed()
    raise ValueError(name)


def train(model, rows, labels):
    loss = F.cross_entropy(model(rows), labels)  # finds softmax-before-cross-entropy likely
    loss.backward()


train(build(options.model), None, None)
