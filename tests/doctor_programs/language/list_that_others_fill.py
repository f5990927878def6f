"""A list that is empty as far as is seen: something else fills it, or nothing would loop over it."""

import torch
from torch import nn


class Buffer:
    def __init__(self):
        self.batches = []

    def filled_by(self, source):
        source.listen(self.batches)

    def fit(self, model, criterion):
        for features, labels in self.batches:
            loss = criterion(torch.softmax(model(features), -1), labels)  # finds softmax-before-cross-entropy certain
            loss.backward()


buffer = Buffer()
buffer.fit(nn.Linear(8, 6), nn.CrossEntropyLoss())
