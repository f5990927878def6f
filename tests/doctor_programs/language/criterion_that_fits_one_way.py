import sys

import torch
import torch.nn.functional as F
from torch import nn

squashed = nn.Sequential(nn.Linear(3, 1), nn.Sigmoid())
criterion = nn.BCELoss() if "--squash" in sys.argv else nn.BCEWithLogitsLoss()
loss = criterion(squashed(torch.randn(2, 3)), torch.ones(2, 1))

logits = nn.Linear(3, 4)
labels = torch.randint(0, 4, (2,))
losses = {"ce": F.cross_entropy, "nll": F.nll_loss}
loss = losses[sys.argv[1]](logits(torch.randn(2, 3)), labels)

if len(sys.argv) > 2:
    measure = nn.CrossEntropyLoss()
elif len(sys.argv) > 1:
    measure = nn.CrossEntropyLoss(label_smoothing=0.1)
else:
    measure = nn.MultiMarginLoss()
total = 0.0
for rows in torch.randn(5, 2, 3):
    loss = measure(logits(rows), labels)
    loss.backward()
    total += loss.item()
