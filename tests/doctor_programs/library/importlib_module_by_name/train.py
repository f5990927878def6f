import importlib
import sys

import torch.nn.functional as F


def train(model, loader):
    for x, y in loader:
        F.cross_entropy(model(x), y).backward()  # finds softmax-before-cross-entropy likely


def main(loader):
    train(importlib.import_module(f"zoo.{sys.argv[1]}").Soft(), loader)
