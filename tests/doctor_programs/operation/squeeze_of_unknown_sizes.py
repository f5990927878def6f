"""squeeze() takes all axes of size 1 away: which these are is known only where the sizes are."""

import torch.nn.functional as F
from torch import nn


class Features(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 512, 3, 1, 1), nn.MaxPool2d(32))

    def forward(self, x):
        return self.layers(x).squeeze()


def step(x, y):
    features, head = Features(), nn.Linear(512, 10)
    F.cross_entropy(head(features(x)), y).backward()


def of_tokens(ids, y):
    layers = nn.Sequential(nn.Embedding(100, 8), nn.Linear(8, 10))
    pairs = ids.view(-1, 7)
    F.cross_entropy(layers(pairs).squeeze(), y).backward()  # finds class-axis-not-one certain
