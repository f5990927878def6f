import random

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader

TOPICS = 5
model = nn.Linear(4, TOPICS)


def articles(n, rng=random.Random(0)):
    for _ in range(n):
        yield {"words": [rng.random() for _ in range(4)], "topics": rng.sample(range(TOPICS), rng.randint(1, 3))}


def at_once(rows):
    labels = torch.zeros(len(rows), TOPICS)
    for i, row in enumerate(rows):
        labels[i, row["topics"]] = 1.0
    return torch.tensor([row["words"] for row in rows]), labels


def one_by_one(rows):
    labels = torch.zeros(len(rows), TOPICS)
    for i, row in enumerate(rows):
        for topic in row["topics"]:
            labels[i, topic] = 1
    return torch.tensor([row["words"] for row in rows]), labels


def shared(rows):
    x, labels = at_once(rows)
    return x, labels / labels.sum(1, keepdim=True)


def first(rows):
    labels = torch.zeros(len(rows), TOPICS)
    for i, row in enumerate(rows):
        labels[i, row["topics"][0]] = 1
    return torch.tensor([row["words"] for row in rows]), labels


data = list(articles(40))
for collate in (at_once, one_by_one):
    for x, y in DataLoader(data, batch_size=8, collate_fn=collate):
        loss = F.cross_entropy(model(x), y)  # finds multi-hot-target certain
        loss = F.binary_cross_entropy_with_logits(model(x), y)
for x, y in DataLoader(data, batch_size=8, collate_fn=shared):
    loss = F.cross_entropy(model(x), y)
for x, y in DataLoader(data, batch_size=8, collate_fn=first):
    loss = F.cross_entropy(model(x), y)  # finds one-hot-target info
