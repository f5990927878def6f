import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader

names = open("names.txt").read().split()


class Flowers:
    def __len__(self):
        return 64

    def __getitem__(self, i):
        row = torch.tensor([int(name == names[i]) for name in ("iris", "rose", "tulip")], dtype=torch.float32)
        return torch.randn(4), row


model = nn.Linear(4, 3)
for x, y in DataLoader(Flowers(), batch_size=8):
    loss = F.cross_entropy(model(x), y)
rows = [[int(name == own) for name in ("iris", "rose", "tulip")] for own in names]
loss = F.cross_entropy(model(torch.randn(len(rows), 4)), torch.tensor(rows).float())
