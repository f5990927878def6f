import json

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Rows(Dataset):
    def __init__(self, path):
        self.rows = []
        for _, row in enumerate(json.load(open(path))):  # of which no two are all
            self.rows.append((torch.tensor(row["x"]), int(row["y"])))

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        return self.rows[index]


class Fixed(Rows):
    def __init__(self):
        self.rows = [(torch.zeros(4), 0), (torch.ones(4), 1)]


net = nn.Sequential(nn.Linear(4, 3), nn.Softmax(1))
for rows in (Rows("train.json"), Fixed()):
    loader = DataLoader(rows, batch_size=128, drop_last=True)
    batches = iter(loader)
    for _ in range(len(loader)):
        x, y = next(batches)
        nn.CrossEntropyLoss()(net(x), y).backward()  # finds softmax-before-cross-entropy certain
