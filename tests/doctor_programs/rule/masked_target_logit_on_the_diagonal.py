import torch
import torch.nn.functional as F
from torch import nn

net = nn.Linear(16, 8)
x = torch.randn(12, 16)


def scores():
    a, b = F.normalize(net(x), dim=1), F.normalize(net(x), dim=1)
    return a @ b.t()


labels = torch.arange(12)
eye = torch.eye(12, dtype=torch.bool)
loss = F.cross_entropy(scores().masked_fill(eye, float("-inf")) / 0.2, labels)  # finds masked-target-logit certain
z = scores()
z.fill_diagonal_(-torch.inf)
loss = F.cross_entropy(z, labels)  # finds masked-target-logit certain
loss = F.cross_entropy(torch.where(eye, float("-inf"), scores()), labels)  # finds masked-target-logit certain
z = scores()
z[torch.eye(12) == 1] = float("-inf")
loss = F.cross_entropy(z, labels)  # finds masked-target-logit certain

z = scores().masked_fill(eye, float("-inf"))
loss = F.cross_entropy(z, labels.roll(6))
loss = F.cross_entropy(z, (labels + 6) % 12)
loss = F.cross_entropy(z, torch.cat([labels[6:], labels[:6]]))
loss = F.cross_entropy(z, labels[torch.randperm(12)])
loss = F.cross_entropy(torch.cat([scores(), z], dim=1), labels)
loss = F.cross_entropy(z[:6, 6:], labels[:6])
loss = F.cross_entropy(z.masked_fill(~eye, 0.0), labels.flip(0))
