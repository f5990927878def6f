import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

PAD = 0
model = nn.Sequential(nn.Embedding(9, 4, padding_idx=PAD), nn.Linear(4, 9))
tokens = pad_sequence([torch.randint(1, 9, (n,)) for n in (3, 5)], batch_first=True, padding_value=PAD)
z = model(tokens[:, :-1])
loss = nn.CrossEntropyLoss(ignore_index=PAD)(z.reshape(-1, 9), tokens[:, 1:].reshape(-1))
