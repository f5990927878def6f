import itertools
import operator
from functools import reduce

import torch
import torch.nn.functional as F
from torch import nn

x, y = torch.randn(8, 5), torch.randint(0, 4, (8,))
soft, summed = operator.methodcaller("softmax", dim=1), operator.methodcaller("sum")
F.cross_entropy(soft(nn.Linear(5, 4)(x)), y).backward()  # finds softmax-before-cross-entropy certain
summed(F.cross_entropy(nn.Linear(5, 4)(x), y)).backward()


def applied(layers, x):
    return reduce(lambda h, layer: layer(h), layers, x)


F.cross_entropy(applied([nn.Linear(5, 4), nn.Softmax(1)], x), y).backward()  # finds softmax-before-cross-entropy certain
F.cross_entropy(applied([nn.Linear(5, 9), nn.Softmax(1), nn.Linear(9, 4)], x), y).backward()


def in_turn(*parts):
    h = x
    for layer in itertools.chain(*parts):
        h = layer(h)
    return h


F.nll_loss(in_turn([nn.Linear(5, 4)], [nn.Softmax(1)]), y).backward()  # finds softmax-before-nll certain
F.nll_loss(in_turn([nn.Linear(5, 4)], [nn.LogSoftmax(1)]), y).backward()
F.nll_loss(in_turn(nn.Sequential(nn.Linear(5, 4)), (nn.LogSoftmax(1),)), y).backward()
