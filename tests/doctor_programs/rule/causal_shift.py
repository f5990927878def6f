import torch
import torch.nn.functional as F
from torch import nn

model = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 9))
ids = torch.randint(0, 9, (2, 7))
loss = F.cross_entropy(model(ids).view(-1, 9), ids.view(-1))  # finds causal-shift certain

ids = torch.randint(0, 9, (2, 7))
loss = F.cross_entropy(model(ids[:, :-1]).reshape(-1, 9), ids[:, 1:].reshape(-1))
