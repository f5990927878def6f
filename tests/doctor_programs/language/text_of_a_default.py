import argparse

import torch
from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--loss", default="losses.CrossEntropy")
parser.add_argument("--last", default="Soft")
args = parser.parse_args()
name = args.loss[args.loss.rfind(".") + 1 :] + "Loss"
criterion = getattr(nn, name)()
model = nn.Sequential(nn.Linear(3, 4), nn.Softmax(dim=1))
loss = criterion(model(torch.randn(2, 3)), torch.randint(0, 4, (2,)))  # finds softmax-before-cross-entropy likely
last = getattr(nn, f"{args.last}max")(dim=1)
loss = nn.NLLLoss()(last(torch.randn(2, 4)), torch.randint(0, 4, (2,)))  # finds softmax-before-nll likely
