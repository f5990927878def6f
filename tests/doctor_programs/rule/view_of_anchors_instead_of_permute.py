import torch
import torch.nn.functional as F
from torch import nn


class Head(nn.Module):
    def __init__(self, anchors=2, kinds=5, levels=2):
        super().__init__()
        self.kinds = kinds
        self.convs = nn.ModuleList(nn.Conv2d(12, anchors * kinds, 3, padding=1) for _ in range(levels))

    def forward(self, levels):
        found = []
        for conv, level in zip(self.convs, levels):
            y = conv(level)
            found.append(y.view(y.size(0), -1, self.kinds))  # finds view-instead-of-permute certain
        return torch.cat(found, dim=1)


class Right(Head):
    def forward(self, levels):
        found = [conv(level).permute(0, 2, 3, 1) for conv, level in zip(self.convs, levels)]
        return torch.cat([y.reshape(y.size(0), -1, self.kinds) for y in found], dim=1)


levels = torch.randn(3, 12, 8, 8), torch.randn(3, 12, 4, 4)
labels = torch.randint(0, 5, (3, 160))
F.cross_entropy(Head()(levels).reshape(-1, 5), labels.reshape(-1)).backward()
F.cross_entropy(Right()(levels).reshape(-1, 5), labels.reshape(-1)).backward()

conv = nn.Conv2d(12, 10, 1)


def of_any_size(images, labels):
    scores = conv(images).reshape(images.size(0), -1, 10)  # finds view-instead-of-permute likely
    return F.cross_entropy(scores.transpose(1, 2), labels)


def apart(images, labels):
    n, _, h, w = images.shape
    scores = conv(images).view(n, 2, 5, h, w).permute(0, 1, 3, 4, 2).reshape(-1, 5)
    return F.cross_entropy(scores, labels.flatten())


images = torch.randn(3, 12, 8, 8)
apart(images, torch.randint(0, 5, (3, 2, 8, 8))).backward()
eight = nn.Conv2d(12, 16, 1)(images).view(3, 2, 8, 64)
F.cross_entropy(eight.transpose(1, 2), torch.randint(0, 8, (3, 2, 64))).backward()
pooled = F.adaptive_avg_pool2d(conv(images), 1).view(-1, 5)
F.cross_entropy(pooled, torch.randint(0, 5, (6,))).backward()
square = nn.Conv2d(12, 16, 1)(images).view(3, 2, 8, 8, 8)
F.cross_entropy(square.permute(0, 2, 1, 3, 4), torch.randint(0, 8, (3, 2, 8, 8))).backward()
