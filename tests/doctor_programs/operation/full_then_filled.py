import torch
from torch import nn

PAD_ID = 0
model = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 9))
batch = torch.full((4, 6), PAD_ID)
for i in range(4):
    batch[i, :3] = torch.randint(1, 9, (3,))
z = model(batch[:, :-1])
loss = nn.CrossEntropyLoss()(z.reshape(-1, 9), batch[:, 1:].reshape(-1))  # finds padding-not-ignored certain
