"""What a loop over an empty list does may not be done: a right program, whose activations are added where wanted."""

from torch import nn


def train(loader, activations=[]):
    model = nn.Linear(8, 6)
    criterion = nn.CrossEntropyLoss()
    for features, labels in loader:
        scores = model(features)
        for activation in activations:
            scores = activation(scores)
        loss = criterion(scores, labels)
        loss.backward()
