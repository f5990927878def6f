import torch.nn.functional as F


def step(model, batch):
    x, y, w = batch
    return F.cross_entropy(model(x), y, weight=w)  # finds class-weight-shape likely


def train(model, data, loader):
    weights = data.class_weights
    for x, y in loader:
        F.cross_entropy(model(x), y, weight=weights)
