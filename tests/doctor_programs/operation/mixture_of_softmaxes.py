import torch
import torch.nn.functional as F
from torch import nn

head, other = nn.Linear(12, 5), nn.Linear(12, 5)
rows, y = torch.randn(4, 12), torch.randint(0, 3, (4,))
support = F.one_hot(torch.randint(0, 3, (4, 5)), 3).float()
attention = head(rows).softmax(1)

by_bmm = attention.unsqueeze(1).bmm(support).squeeze(1)
F.cross_entropy(by_bmm, y).backward()  # finds softmax-before-cross-entropy certain
by_sum = (attention.unsqueeze(-1) * support).sum(1)
F.cross_entropy(by_sum, y).backward()  # finds softmax-before-cross-entropy certain

a, b = head(rows).softmax(-1), other(rows).softmax(-1)
F.cross_entropy(0.3 * a + 0.7 * b, y).backward()  # finds softmax-before-cross-entropy certain
F.cross_entropy((a + b) / 2, y).backward()  # finds softmax-before-cross-entropy certain
F.cross_entropy(torch.stack([a, b]).mean(0), y).backward()  # finds softmax-before-cross-entropy certain
gate = nn.Linear(12, 1)(rows).sigmoid()
F.cross_entropy(gate * a + (1 - gate) * b, y).backward()  # finds softmax-before-cross-entropy certain


def crops(model, images, y):
    chances = F.softmax(model(images), dim=-1).mean(0)
    return F.cross_entropy(chances, y)  # finds softmax-before-cross-entropy certain


values = other(attention @ torch.randn(5, 12))
F.cross_entropy(values, y).backward()
averaged = head(torch.stack([a @ torch.randn(5, 12), b @ torch.randn(5, 12)]).mean(0))
F.cross_entropy(averaged, y).backward()
