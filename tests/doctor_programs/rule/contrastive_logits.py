import torch
import torch.nn.functional as F
from torch import nn

encoder = nn.Linear(4, 6)
a = F.normalize(encoder(torch.randn(8, 4)), dim=-1)
b = F.normalize(encoder(torch.randn(8, 4)), dim=-1)
loss = F.cross_entropy(a @ b.t() / 0.07, torch.arange(8))
loss.backward()

q, k = encoder(torch.randn(8, 4)), encoder(torch.randn(8, 4)).detach()
pos = (q * k).sum(-1, keepdim=True)
neg = q @ torch.randn(6, 20)
logits = torch.cat([pos, neg], 1)
loss = F.cross_entropy(logits, torch.zeros(8, dtype=torch.long))
loss.backward()
