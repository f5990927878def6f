"""Losses are kept where they are put into a list; who adds them up afterwards keeps no more."""

import torch.nn.functional as F


def train(model, optimizer, loader):
    losses = []
    for x, y in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss)  # finds loss-graph-retained certain
    return sum(losses) / len(losses)


def differentiated(model, optimizer, loader):
    losses = []
    for x, y in loader:
        losses.append(F.cross_entropy(model(x), y))
    sum(losses).backward()
    optimizer.step()
