import torch
import torch.nn.functional as F
from torch import nn


class Heads(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(30, 8)
        self.following, self.after = nn.Linear(8, 30), nn.Linear(8, 30)

    def forward(self, tokens):
        h = self.embedding(tokens)
        return self.following(h), self.after(h)


model = Heads()
tokens = torch.randint(30, (4, 12))
one, two = model(tokens)
loss = F.cross_entropy(one[:, :-1].transpose(1, 2), tokens[:, 1:])
loss = loss + 0.3 * F.cross_entropy(two[:, :-2].transpose(1, 2), tokens[:, 2:])
loss.backward()
