from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn


class Outputs(NamedTuple):
    logits: torch.Tensor
    probs: torch.Tensor


fc = nn.Linear(4, 3)


def run(x):
    z = fc(x)
    return Outputs(z, z.softmax(1))


outputs = run(torch.randn(2, 4))
loss = F.cross_entropy(outputs.probs, torch.randint(0, 3, (2,)))  # finds softmax-before-cross-entropy certain
