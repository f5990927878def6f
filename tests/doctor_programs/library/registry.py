import sys

import torch
from fvcore.common.registry import Registry as Heads
from mmengine.registry import Registry, build_from_cfg
from torch import nn

MODELS = Registry("models")
LOSSES = Registry("losses")
HEADS = Heads("heads")


@MODELS.register_module()
class Squashed(nn.Module):
    def __init__(self, classes=4):
        super().__init__()
        self.body = nn.Linear(3, classes)

    def forward(self, rows):
        return self.body(rows).softmax(1)


@MODELS.register_module(name="raw")
class Plain(nn.Module):
    def __init__(self, classes=4):
        super().__init__()
        self.body = nn.Linear(3, classes)

    def forward(self, rows):
        return self.body(rows)


@LOSSES.register_module()
class Measure(nn.Module):
    def __init__(self, weight=1.0):
        super().__init__()
        self.weight = weight
        self.ce = nn.CrossEntropyLoss()

    def forward(self, scores, labels):
        return self.weight * self.ce(scores, labels)  # finds softmax-before-cross-entropy certain


@HEADS.register()
class Head(Squashed):
    pass


rows, labels = torch.randn(2, 3), torch.randint(0, 4, (2,))
net = MODELS.build(dict(type="Squashed", classes=4))
measure = build_from_cfg(dict(type="Measure", weight=2.0), LOSSES)
loss = measure(net(rows), labels)
loss = nn.CrossEntropyLoss()(MODELS.get("raw")()(rows), labels)
loss = nn.NLLLoss()(HEADS.get("Head")()(rows), labels)  # finds softmax-before-nll certain
loss = nn.CrossEntropyLoss()(MODELS.build(dict(type=sys.argv[1]))(rows)[:, :4], labels)  # finds softmax-before-cross-entropy certain
