"""Batches that are cut out of rows of which it is not known how many there are: the loop over them is followed."""

import numpy as np
import pandas as pd
import torch
from torch import nn

ROWS = 512


def load():
    table = pd.read_csv("rows.csv")
    rows = list(zip(np.array(table[table.columns[1:]]), np.array(table[table.columns[0]])))
    batches = []
    for i in range(len(rows) // ROWS):
        features, labels = [], []
        for row in rows[ROWS * i : ROWS * (i + 1)]:
            features.append(row[0])
            labels.append(row[1])
        batches.append([torch.FloatTensor(features), torch.LongTensor(labels)])
    return batches


model = nn.Sequential(nn.Linear(8, 6), nn.Softmax(dim=1))
criterion = nn.CrossEntropyLoss()
for features, labels in load():
    loss = criterion(model(features), labels)  # finds softmax-before-cross-entropy certain
    loss.backward()
