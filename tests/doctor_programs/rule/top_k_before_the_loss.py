import torch
import torch.nn.functional as F
from torch import nn

z = nn.Linear(4, 30)(torch.randn(8, 4))
least = z.topk(5, dim=1).values[:, -1:]
F.cross_entropy(z.masked_fill(z < least, float("-inf")), torch.randint(0, 30, (8,)))  # finds masked-target-logit likely

z = nn.Linear(4, 30)(torch.randn(8, 4))
y = torch.randint(0, 30, (8,))
least = z.topk(5, dim=1).values[:, -1:]
F.cross_entropy(z.masked_fill((z < least) & ~F.one_hot(y, 30).bool(), float("-inf")), y)
