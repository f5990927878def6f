import random

import torch
import torch.nn as nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

PAD_TOKEN, PAD_TAG = 0, 0
TAGS = ["<pad>", "O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


def collate(samples):
    words = pad_sequence([w for w, _ in samples], batch_first=True, padding_value=PAD_TOKEN)
    tags = pad_sequence([t for _, t in samples], batch_first=True, padding_value=PAD_TAG)
    return words, tags


def sentences(n):
    for _ in range(n):
        length = random.randint(3, 14)
        words = torch.randint(1, 60, (length,))
        yield words, words % 5 + 1


class NER(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(60, 24, padding_idx=PAD_TOKEN)
        self.lstm = nn.LSTM(24, 24, batch_first=True, bidirectional=True)
        self.out = nn.Linear(48, len(TAGS))

    def forward(self, words):
        return self.out(self.lstm(self.emb(words))[0])


random.seed(191)
torch.manual_seed(191)
ner = NER()
criterion = nn.CrossEntropyLoss(ignore_index=PAD_TAG)
optimizer = torch.optim.Adam(ner.parameters(), lr=5e-3)
for words, tags in DataLoader(list(sentences(48)), batch_size=12, collate_fn=collate):
    logits = ner(words)
    loss = criterion(logits.flatten(0, 1), tags.flatten())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(f"{tuple(words.shape)} {loss.item():.4f}")
