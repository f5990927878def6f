import torch
import torch.nn.functional as F
from torch import nn


class Steps(torch.utils.data.Dataset):
    def __init__(self, grid):
        self.grid = grid

    def __len__(self):
        return 9

    def __getitem__(self, i):
        return self.grid[i], self.grid[i + 1]


model = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 9))
for x, y in torch.utils.data.DataLoader(Steps(torch.randint(0, 9, (10, 5))), 4):
    F.cross_entropy(model(x).transpose(1, 2), y)
