from collections import namedtuple

import torch
import torch.nn.functional as F
from torch import nn

Out = namedtuple("Out", ["logits", "probs"])
fc = nn.Linear(4, 3)


def run(x):
    z = fc(x)
    return Out(logits=z, probs=z.softmax(1))


outputs = run(torch.randn(2, 4))
loss = F.cross_entropy(outputs.logits, torch.randint(0, 3, (2,)))
