import torch
import torch.nn.functional as F
from torch import nn
from yacs.config import CfgNode as CN

_C = CN()
_C.MODEL = CN()
_C.MODEL.SQUASH = False
_C.LOSS = "ce"
cfg = _C.clone()


class Net(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.body = nn.Linear(3, 4)
        self.squash = cfg.MODEL.SQUASH

    def forward(self, rows):
        return self.body(rows).softmax(1) if self.squash else self.body(rows)


rows, labels = torch.randn(2, 3), torch.randint(0, 4, (2,))
loss = F.cross_entropy(Net(cfg)(rows), labels)
cfg.merge_from_file("squashed.yaml")
if cfg.LOSS == "ce":
    loss = F.cross_entropy(Net(cfg)(rows), labels)  # finds softmax-before-cross-entropy likely
if cfg.OTHER:
    labels = labels + 1
