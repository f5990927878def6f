import argparse

import torch
import torch.nn.functional as F
from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--act", default="Softmax")
args = parser.parse_args()
act = getattr(nn, args.act)(dim=1)
linear = nn.Linear(3, 4)
loss = F.cross_entropy(act(linear(torch.randn(2, 3))), torch.randint(0, 4, (2,)))  # finds softmax-before-cross-entropy likely
