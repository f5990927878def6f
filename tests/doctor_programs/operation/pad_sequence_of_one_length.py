import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

model = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 9))
rows = [torch.randint(1, 9, (6,)) for _ in range(4)]  # of one length: nothing is filled up
tokens = pad_sequence(rows, batch_first=True)
loss = nn.CrossEntropyLoss()(model(tokens[:, :-1]).reshape(-1, 9), tokens[:, 1:].reshape(-1))

words = [torch.tensor([1, 2, 3]), torch.tensor([4, 5, 6, 7])]
for batch in DataLoader(words, batch_size=2, collate_fn=lambda rows: pad_sequence(rows, batch_first=True)):
    loss = nn.CrossEntropyLoss()(model(batch[:, :-1]).reshape(-1, 9), batch[:, 1:].reshape(-1))  # finds padding-not-ignored certain
