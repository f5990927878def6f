from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass
class Config:
    head: str = "Softmax"
    n: int = 3


config = Config()
model = nn.Sequential(nn.Linear(4, config.n), getattr(nn, config.head)(dim=-1))
loss = F.cross_entropy(model(torch.randn(2, 4)), torch.randint(0, 3, (2,)))  # finds softmax-before-cross-entropy likely
