import torch
import torch.nn.functional as F
from torch import nn

net = nn.Linear(10, 8)
labels = torch.randint(0, 4, (16,))


def similarity(x):
    z = F.normalize(net(x), dim=1)
    return z @ z.t() / 0.2


x = torch.randn(16, 10)
eye = torch.eye(16)
loss = F.cross_entropy(similarity(x), (labels[:, None] == labels[None, :]).float())  # finds multi-hot-target likely
mask = torch.eq(labels.view(-1, 1), labels.view(-1, 1).T).fill_diagonal_(False).float()
loss = F.cross_entropy(similarity(x), mask)  # finds multi-hot-target likely
mask = (labels.unsqueeze(0) == labels.unsqueeze(1)) & ~torch.eye(16, dtype=torch.bool)
loss = F.cross_entropy(similarity(x), mask.float())  # finds multi-hot-target likely
mask = (labels.unsqueeze(0) == labels.unsqueeze(1)).float() * (1 - eye)
loss = F.cross_entropy(similarity(x), mask)  # finds multi-hot-target likely

loss = F.cross_entropy(similarity(x), mask / mask.sum(1, keepdim=True))
loss = F.cross_entropy(similarity(x), torch.where(mask > 0, 1 / mask.sum(1, keepdim=True), mask))
loss = F.cross_entropy(similarity(x), F.normalize(mask, p=1, dim=1))
only = torch.arange(16)
loss = F.cross_entropy(similarity(x), (only[:, None] == only[None, :]).float())
