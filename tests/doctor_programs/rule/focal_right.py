import torch
import torch.nn.functional as F
from torch import nn

head = nn.Linear(4, 3)
logits, labels = head(torch.randn(8, 4)), torch.randint(0, 3, (8,))
ce = F.cross_entropy(logits, labels, reduction="none")
focal = ((1 - torch.exp(-ce)) ** 2 * ce).mean()
mean = F.cross_entropy(logits, labels)
flooded = (1 - mean) ** 2 * 0.5  # a loss is drawn towards 1: no focal factor
(focal + flooded).backward()
