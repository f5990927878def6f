import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset

class Collator:
    def __init__(self, pad_idx):
        self.pad_idx = pad_idx
    def __call__(self, batch):
        targets = [item[1] for item in batch]
        targets = pad_sequence(targets, batch_first=True, padding_value=self.pad_idx)
        return pad_sequence([item[0] for item in batch], batch_first=True, padding_value=self.pad_idx), targets

def train(model, data, vocab):
    criterion = nn.CrossEntropyLoss()
    pad = vocab["<pad>"]
    for x, y in DataLoader(data, batch_size=8, collate_fn=Collator(pad)):
        z = model(x)
        loss = criterion(z.transpose(1, 2), y)  # finds padding-not-ignored likely
        loss.backward()
