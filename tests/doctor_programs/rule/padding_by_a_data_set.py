import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset

PAD = 0

class Texts(Dataset):
    def __init__(self, rows, length):
        self.rows, self.length = rows, length
    def __len__(self):
        return len(self.rows)
    def __getitem__(self, i):
        row = self.rows[i]
        row = row + [PAD] * (self.length - len(row))
        return torch.tensor(row[:-1]), torch.tensor(row[1:])

def train(model, rows):
    criterion = nn.CrossEntropyLoss()
    for x, y in DataLoader(Texts(rows, 20), batch_size=8):
        z = model(x)
        loss = criterion(z.view(-1, z.size(-1)), y.view(-1))  # finds padding-not-ignored certain
        loss.backward()
