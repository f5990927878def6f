import random
from collections import deque

import torch
import torch.nn.functional as F
from torch import nn

policy = nn.Sequential(nn.Linear(4, 3), nn.Softmax(-1))
scores = nn.Linear(4, 3)


def step(memory, model):
    if len(memory) < 32:
        return None
    states, actions = zip(*random.sample(memory, 32))
    loss = F.cross_entropy(model(torch.stack(states)), torch.tensor(actions))  # finds softmax-before-cross-entropy certain
    loss.backward()
    return loss


memory, other = [], []
for _ in range(100):
    memory.append((torch.randn(4), random.randrange(3)))
    step(memory, policy)

recent = deque(maxlen=50)
for _ in range(100):
    recent.append((torch.randn(4), random.randrange(3)))
    step(recent, scores)

rows = []
for _ in range(100):
    rows.append(torch.randn(4))
    if len(rows) < 40:
        continue
    F.nll_loss(policy(torch.stack(rows)), torch.zeros(len(rows)).long()).backward()  # finds softmax-before-nll certain

names = []
for name in ("a", "b", "c"):
    names.append(name)
F.cross_entropy(scores(torch.randn(2, 4)), torch.tensor([0, len(names) - 1])).backward()
F.cross_entropy(scores(torch.randn(2, 4)), torch.full((2,), len(names))).backward()  # finds label-out-of-range certain
