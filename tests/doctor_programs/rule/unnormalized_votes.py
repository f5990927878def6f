import torch
import torch.nn.functional as F
from torch import nn

model = nn.Linear(12, 4)


def picks(x, raters=5):
    return torch.distributions.Categorical(logits=2 * x[:, :4]).sample((raters,))


x = torch.randn(32, 12)
votes = F.one_hot(picks(x), 4).sum(0).float()
loss = F.cross_entropy(model(x), votes)  # finds unnormalized-target certain
loss = F.cross_entropy(model(x), votes / votes.sum(dim=1, keepdim=True))
loss = F.cross_entropy(model(x), votes / 5)
loss = F.cross_entropy(model(x), votes.argmax(1))
votes /= votes.sum(-1, keepdim=True)
loss = F.cross_entropy(model(x), votes)
loss = F.cross_entropy(model(x), F.one_hot(picks(x), 4).float().mean(0))

counts = torch.stack([torch.bincount(row, minlength=4) for row in torch.randint(0, 4, (32, 7))]).float()
loss = F.cross_entropy(model(x), counts)  # finds unnormalized-target certain
loss = F.cross_entropy(model(x), counts / counts.sum(1, keepdim=True))
