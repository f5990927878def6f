import torch.nn.functional as F
from torch import nn


def train(loader, final="softmax"):
    model = nn.Sequential(nn.Linear(4, 3), {"softmax": nn.Softmax(1), "none": nn.Identity()}[final])
    for x, y in loader:
        F.cross_entropy(model(x), y).backward()  # finds softmax-before-cross-entropy likely
