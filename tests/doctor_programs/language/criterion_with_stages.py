import torch
from torch import nn


class Criterion(nn.Module):
    def __init__(self, *stages):
        super().__init__()
        self.before, self.loss = stages[:-1], stages[-1]

    def forward(self, scores, target):
        for stage in self.before:
            scores = stage(scores)
        return self.loss(scores, target)  # finds logits-into-nll certain; softmax-before-cross-entropy certain


class Blocks(nn.Module):
    def __init__(self, last):
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(7, 24), nn.ReLU(), nn.Linear(24, 4), last])
        self.net = nn.Sequential(*self.blocks)

    def forward(self, x):
        return self.net(x)


x, y = torch.randn(16, 7), torch.randint(0, 4, (16,))
Criterion(nn.NLLLoss())(nn.Linear(7, 4)(x), y).backward()
Criterion(nn.LogSoftmax(dim=1), nn.NLLLoss())(nn.Linear(7, 4)(x), y).backward()
Criterion(nn.CrossEntropyLoss())(Blocks(nn.Softmax(1))(x), y).backward()
Criterion(nn.CrossEntropyLoss())(Blocks(nn.Identity())(x), y).backward()
