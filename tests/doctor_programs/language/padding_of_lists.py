import torch
from torch import nn

PAD = 0


def pad(rows):
    n = max(len(s) for s in rows)
    return torch.tensor([s + [PAD] * (n - len(s)) for s in rows])


model = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 9))
tokens = pad([[1, 2, 3], [4, 5]])
z = model(tokens[:, :-1])
loss = nn.CrossEntropyLoss()(z.reshape(-1, 9), tokens[:, 1:].reshape(-1))  # finds padding-not-ignored certain
