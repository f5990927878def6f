import argparse

import torch
import torch.nn.functional as F
from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--logits", action="store_true")
args = parser.parse_args()
layers = [nn.Linear(4, 3)]
if not args.logits:
    layers.append(nn.Softmax(dim=1))
model = nn.Sequential(*layers)
F.cross_entropy(model(torch.randn(2, 4)), torch.randint(0, 3, (2,)))  # finds softmax-before-cross-entropy likely
