import torch
import torch.nn as nn


class Critic(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(6, 8)
        self.score = nn.Linear(8, 1)
        self.label = nn.Linear(8, 3)
        self.squash = nn.Softmax(dim=1)

    def forward(self, x):
        x = torch.tanh(self.body(x))
        label = self.label(x)
        label = self.squash(label)
        return self.score(x), label
