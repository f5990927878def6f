import random
from collections import deque, namedtuple

import torch
import torch.nn.functional as F
from torch import nn

Step = namedtuple("Step", "state action reward")


class Buffer:
    def __init__(self, size):
        self.steps = deque(maxlen=size)

    def push(self, *args):
        self.steps.append(Step(*args))

    def sample(self, n):
        steps = Step(*zip(*random.sample(list(self.steps), n)))
        return Step(*(torch.cat(field) for field in steps))


net = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 3))
buffer = Buffer(200)
for _ in range(40):
    state = torch.randn(1, 4)
    buffer.push(state, state[:, :3].argmax(1, keepdim=True), state.max(1).values)

for _ in range(3):
    batch = buffer.sample(16)
    values = net(batch.state).gather(1, batch.action).squeeze(1)
    F.mse_loss(values, batch.reward).backward()
    F.cross_entropy(net(batch.state), batch.action).backward()  # finds target-extra-dim certain
    F.cross_entropy(net(batch.state), batch.action.squeeze(1)).backward()
    state, action, reward = batch
    F.cross_entropy(net(state), action.flatten()).backward()
    F.nll_loss(net(batch[0]), action[:, 0]).backward()  # finds logits-into-nll certain

recent = deque(maxlen=10)
for _ in range(3):
    loss = F.cross_entropy(net(torch.randn(5, 4)), torch.randint(0, 3, (5,)))
    loss.backward()
    recent.append(loss)
