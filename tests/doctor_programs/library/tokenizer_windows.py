import tokenizers
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Windows(Dataset):
    def __init__(self, text, length, stride):
        self.read, self.wanted = [], []
        tokens = tokenizers.load("gpt2").encode(text)
        for i in range(0, len(tokens) - length, stride):
            self.read.append(torch.tensor(tokens[i : i + length]))
            self.wanted.append(torch.tensor(tokens[i + 1 : i + length + 1]))

    def __getitem__(self, i):
        return self.read[i], self.wanted[i]


model = nn.Sequential(nn.Embedding(100, 8), nn.Linear(8, 100))
for x, y in DataLoader(Windows(open("a").read(), 256, 128), batch_size=4):
    F.cross_entropy(model(x).flatten(0, 1), y.flatten())
