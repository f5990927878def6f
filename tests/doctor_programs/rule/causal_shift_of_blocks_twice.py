import torch
import torch.nn.functional as F
from torch import nn


class Blocks(torch.utils.data.Dataset):
    def __init__(self, ids, n):
        self.ids, self.n = ids, n

    def __len__(self):
        return 9

    def __getitem__(self, i):
        at = i * self.n
        return self.ids[at : at + self.n], self.ids[at + 1 : at + self.n + 1]


model = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 9))
for x, y in torch.utils.data.DataLoader(Blocks(torch.arange(100) * 5 % 9, 8), 4):
    F.cross_entropy(model(x)[:, :-1].transpose(1, 2), y[:, 1:])  # finds causal-shift certain
