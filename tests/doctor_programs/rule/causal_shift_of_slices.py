import torch
import torch.nn.functional as F
from torch import nn

embed = nn.Embedding(9, 4)
linear = nn.Linear(4, 9)
ids = torch.randint(0, 9, (30,))
for i in range(0, 20, 5):
    x, y = ids[i : i + 5], ids[i + 1 : i + 6]
    loss = F.cross_entropy(linear(embed(x)), y)
    loss.backward()
