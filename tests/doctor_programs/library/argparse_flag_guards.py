import argparse

import torch
import torch.nn.functional as F
from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--train", action="store_true", default=True)
args = parser.parse_args()


def train():
    model = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1))
    F.cross_entropy(model(torch.randn(2, 4)), torch.randint(0, 3, (2,))).backward()  # finds softmax-before-cross-entropy certain


if args.train:
    train()
