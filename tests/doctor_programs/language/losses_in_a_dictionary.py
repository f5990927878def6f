import torch
from torch import nn

criteria = {"cls": nn.CrossEntropyLoss(), "tag": nn.BCEWithLogitsLoss()}
a, b = nn.Linear(4, 3), nn.Linear(4, 5)
x = torch.randn(2, 4)
outputs = {"cls": a(x), "tag": b(x).sigmoid()}
targets = {"cls": torch.randint(0, 3, (2,)), "tag": torch.randint(0, 2, (2, 5)).float()}
loss = 0
for task, criterion in criteria.items():
    loss = loss + criterion(outputs[task], targets[task])  # finds sigmoid-before-bce-with-logits certain
loss.backward()
