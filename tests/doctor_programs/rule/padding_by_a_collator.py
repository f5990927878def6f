import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset

def collate(batch):
    xs, ys = zip(*batch)
    return pad_sequence(xs, batch_first=True), pad_sequence(ys, batch_first=True, padding_value=0)

class Tags(Dataset):
    def __init__(self, rows):
        self.rows = rows
    def __len__(self):
        return len(self.rows)
    def __getitem__(self, i):
        words, tags = self.rows[i]
        return torch.LongTensor(words), torch.LongTensor(tags)

def train(model, rows):
    criterion = nn.CrossEntropyLoss()
    for x, y in DataLoader(Tags(rows), batch_size=8, collate_fn=collate):
        z = model(x)
        loss = criterion(z.transpose(1, 2), y)  # finds padding-not-ignored certain
        loss.backward()
