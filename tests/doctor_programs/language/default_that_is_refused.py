import argparse

import torch
import torch.nn.functional as F
from torch import nn


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(3, 4)

    def forward(self, rows):
        return {"scores": self.body(rows)}


class Squashed(Plain):
    def forward(self, rows):
        return {"scores": self.body(rows).softmax(1), "rows": rows}


def make(name):
    if name == "squashed":
        net = Squashed()
    elif name == "plain":
        net = Plain()
    else:
        assert False
    return net


def loss_of(name, scores, labels):
    if name == "ce":
        return F.cross_entropy(scores, labels)  # finds softmax-before-cross-entropy likely
    elif name == "nll":
        return F.nll_loss(scores.log(), labels)
    raise ValueError(name)


parser = argparse.ArgumentParser()
parser.add_argument("--net", default="none")
parser.add_argument("--loss", default="ce")
args = parser.parse_args()
out = make(args.net)(torch.randn(2, 3))
loss = loss_of(args.loss, out["scores"], torch.randint(0, 4, (2,)))
