"""A loss for two classes and one for more, of a model that ends in a sigmoid for both, and of one that does not."""

import torch
import torch.nn.functional as F
from torch import nn


class Trained(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.classes = classes
        self.last = nn.Linear(8, classes)

    def fit(self, loader):
        criterion = F.binary_cross_entropy if self.classes == 2 else F.cross_entropy
        for rows, labels in loader:
            loss = criterion(self(rows), labels)  # finds sigmoid-before-cross-entropy likely
            loss.backward()


class Squashed(Trained):
    def forward(self, x):
        return torch.sigmoid(self.last(x))


class Fitting(Trained):
    def forward(self, x):
        scores = self.last(x)
        return torch.sigmoid(scores) if self.classes == 2 else scores
