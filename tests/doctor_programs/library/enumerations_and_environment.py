import os
from enum import Enum

import torch
import torch.nn.functional as F
from torch import nn


class Output(Enum):
    CHANCES = "softmax"
    SCORES = "none"


class Options(dict):
    def __getattr__(self, name):
        return self[name]


def activation(name):
    return {"softmax": nn.Softmax(1), "none": nn.Identity()}[name]


def of_kind(kind, x):
    if kind is Output.CHANCES:
        return x.softmax(-1)
    return x


x, y = torch.randn(8, 5), torch.randint(0, 4, (8,))
net = nn.Linear(5, 4)
F.cross_entropy(activation(Output.CHANCES.value)(net(x)), y).backward()  # finds softmax-before-cross-entropy certain
F.cross_entropy(activation(Output.SCORES.value)(net(x)), y).backward()
F.nll_loss(activation(Output("softmax").value)(net(x)), y).backward()  # finds softmax-before-nll certain
F.nll_loss(activation(Output["CHANCES"].value)(net(x)), y).backward()  # finds softmax-before-nll certain
F.nll_loss(activation(Options(output="softmax").output)(net(x)), y).backward()  # finds softmax-before-nll certain
F.cross_entropy(activation(Options(output="none").output)(net(x)), y).backward()
F.cross_entropy(of_kind(Output.SCORES, net(x)), y).backward()
F.mse_loss(activation(os.environ.get("OUTPUT", "softmax"))(net(x)), F.one_hot(y, 4).float()).backward()  # finds mse-on-one-hot likely
F.cross_entropy(activation(os.environ.get("OUTPUT", "none"))(net(x)), y).backward()
