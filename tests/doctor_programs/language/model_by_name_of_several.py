import sys

import torch
import torch.nn.functional as F
from torch import nn


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(3, 4)

    def forward(self, rows):
        return {"scores": self.body(rows), "rows": rows}


class Squashed(Plain):
    def forward(self, rows):
        return {"scores": self.body(rows).softmax(1), "rows": rows}


class Logs(Plain):
    def forward(self, rows):
        return self.body(rows).log_softmax(1)


def make(name):
    if name == "plain":
        return Plain()
    elif name == "squashed":
        return Squashed()
    raise ValueError(name)


rows, labels = torch.randn(2, 3), torch.randint(0, 4, (2,))
out = make(sys.argv[1])(rows)
loss = F.cross_entropy(out["scores"], labels)  # finds softmax-before-cross-entropy likely

if sys.argv[2] == "logs":
    model, criterion = Logs(), nn.NLLLoss()
else:
    model, criterion = nn.Linear(3, 4), nn.CrossEntropyLoss()
loss = criterion(model(rows), labels)

squash = nn.Softmax(dim=1) if sys.argv[1] == "show" else nn.Identity()
loss = F.cross_entropy(squash(nn.Linear(3, 4)(rows)), labels)
