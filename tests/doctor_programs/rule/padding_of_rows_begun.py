import torch
import numpy as np
from torch import nn

def pad_rows(rows, length, pad=0):
    out = np.zeros((len(rows), length), dtype=np.int64)
    for i, row in enumerate(rows):
        out[i, :len(row)] = row
    return torch.from_numpy(out)

def train(model, batches):
    criterion = nn.CrossEntropyLoss()
    for rows in batches:
        ids = pad_rows(rows, 20)
        z = model(ids[:, :-1])
        loss = criterion(z.reshape(-1, z.size(-1)), ids[:, 1:].reshape(-1))  # finds padding-not-ignored likely
        loss.backward()
