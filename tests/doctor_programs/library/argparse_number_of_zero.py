"""An option whose default is 0 stands for a number that is always given: no axis has that size."""

import argparse

import torch.nn.functional as F
from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--classes", type=int, default=0)
arguments = parser.parse_args()


def step(x, y):
    model = nn.Conv2d(3, arguments.classes, 1)
    F.cross_entropy(model(x), y).backward()
    F.cross_entropy(model(x).view(-1, 8, arguments.classes), y.view(-1, 8)).backward()
