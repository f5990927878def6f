import random

import torch
import torch.nn.functional as F
from torch import nn

tagger = nn.Sequential(nn.Embedding(40, 12), nn.Linear(12, 5))


def sentences(n, length):
    for _ in range(n):
        words = torch.randint(0, 40, (length(),))
        yield words, words % 5


def drawn():
    return int(torch.randint(2, 20, (1,)))


def also_drawn():
    return torch.randint(2, 20, ()).item()


def mean(batch):
    losses = []
    for words, tags in batch:
        losses.append(F.cross_entropy(tagger(words), tags))
    return torch.stack(losses).mean()  # finds mean-of-means certain


def total(batch):
    loss = 0.0
    for words, tags in batch:
        loss = loss + F.cross_entropy(tagger(words), tags)
    return loss / 8  # finds mean-of-means certain


def of_one_length(batch):
    return torch.stack([F.cross_entropy(tagger(words), tags) for words, tags in batch]).mean()


def over_all(batch):
    losses = [F.cross_entropy(tagger(words), tags, reduction="sum") for words, tags in batch]
    return torch.stack(losses).sum() / sum(len(tags) for _, tags in batch)


length = random.choice([8, 16])
mean(list(sentences(8, drawn))).backward()
total(list(sentences(8, also_drawn))).backward()
of_one_length(list(sentences(8, lambda: 10))).backward()
of_one_length(list(sentences(8, lambda: length))).backward()
over_all(list(sentences(8, drawn))).backward()
