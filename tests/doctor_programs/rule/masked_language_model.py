import torch
import torch.nn.functional as F
from torch import nn

model = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 9))
ids = torch.randint(3, 9, (2, 7))
mask = torch.rand(2, 7) < 0.15
labels = ids.masked_fill(~mask, -100)
masked = ids.masked_fill(mask, 1)
loss = F.cross_entropy(model(masked).view(-1, 9), labels.view(-1))
