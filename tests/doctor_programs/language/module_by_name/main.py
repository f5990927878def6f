import argparse
import importlib
import pydoc

import torch
import torch.nn.functional as F
from torch import nn

import nets.edges

parser = argparse.ArgumentParser()
parser.add_argument("--arch", default="nets.edges.EdgeNet")
parser.add_argument("--net", default="Default")
parser.add_argument("--other")
args = parser.parse_args()
module, name = args.arch.rsplit(".", 1)
net = getattr(importlib.import_module(module), name)(width=8, criterion=nn.BCEWithLogitsLoss())
loss = net(torch.randn(4, 8), torch.ones(4, 1))

rows, labels = torch.randn(4, 8), torch.randint(0, 4, (4,))
loss = F.cross_entropy(nets.edges.__dict__[args.net](8)(rows), labels)  # finds softmax-before-cross-entropy likely
loss = F.cross_entropy(pydoc.locate("nets.edges.Net")(8)(rows), labels)  # finds softmax-before-cross-entropy certain
loss = F.cross_entropy(eval("nets.edges.Net")(8)(rows), labels)  # finds softmax-before-cross-entropy certain
loss = F.cross_entropy(getattr(nets.edges, args.other)(8)(rows), labels)  # finds softmax-before-cross-entropy certain
measure = getattr(importlib.import_module("torch.nn"), "NLLLoss")()
loss = measure(globals()["nets"].edges.Net(8)(rows), labels)  # finds softmax-before-nll certain
