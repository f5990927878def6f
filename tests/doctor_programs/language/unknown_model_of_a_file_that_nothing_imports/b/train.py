import torch.nn.functional as F


def train(model, loader):
    for x, y in loader:
        F.cross_entropy(model(x), y).backward()
