import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset


class Sentences(Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, i):
        tokens = torch.randint(1, 9, (3 + i % 5,))
        return tokens[:-1], tokens[1:]


def collate(batch):
    read, wanted = zip(*batch)
    return pad_sequence(read, batch_first=True), pad_sequence(wanted, batch_first=True)


model = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 9))
for x, y in DataLoader(Sentences(), batch_size=4, collate_fn=collate):
    loss = F.cross_entropy(model(x).transpose(1, 2), y)  # finds padding-not-ignored certain
    loss.backward()
