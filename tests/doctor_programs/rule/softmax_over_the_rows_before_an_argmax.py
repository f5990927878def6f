"""The class of each row is chosen by a softmax over the rows; over one axis and chosen along it, it is not."""

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, axis):
        super().__init__()
        self.last = nn.Linear(8, 4)
        self.softmax = nn.Softmax(dim=axis)

    def forward(self, x):
        scores = self.last(x.view(x.size(0), -1))
        return scores, self.softmax(scores)


def train(loader):
    for rows, labels in loader:
        scores, shares = Net(0)(rows)
        guessed = torch.max(shares, 1)[1]  # finds softmax-wrong-dim likely
        best = shares.argmax(0)
        scores, right = Net(1)(rows)
        loss = nn.CrossEntropyLoss()(scores[best], guessed) + right[right.argmax(1)].mean()
        loss.backward()
