import torch.nn.functional as F
from torch import nn


def train(x, y):
    loss = F.cross_entropy(model(x), y)  # finds softmax-before-cross-entropy certain
    loss.backward()


model = nn.Sequential(nn.Linear(4, 3), nn.Softmax(1))
