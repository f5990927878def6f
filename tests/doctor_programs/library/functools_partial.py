from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

act = partial(F.softmax, dim=1)
linear = nn.Linear(3, 4)
x = torch.randn(2, 3)
y = torch.randint(0, 4, (2,))
loss = F.cross_entropy(act(linear(x)), y)  # finds softmax-before-cross-entropy certain
loss.backward()
