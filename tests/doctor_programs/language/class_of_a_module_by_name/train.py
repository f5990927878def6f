import sys

import torch.nn.functional as F

import net


def train(model, loader):
    for x, y in loader:
        F.cross_entropy(model(x), y).backward()  # finds softmax-before-cross-entropy likely


train(getattr(net, sys.argv[1])(), None)
