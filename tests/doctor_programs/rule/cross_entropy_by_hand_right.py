import torch
import torch.nn.functional as F
from torch import nn

model = nn.Linear(4, 8)
x, y = torch.randn(8, 4), torch.randint(0, 8, (8,))
z, rows = model(x), torch.arange(8)
one_hot = F.one_hot(y, 8).float()
both = -(one_hot * z.log_softmax(1)).sum(1).mean() - (F.one_hot(rows, 8) * z.log_softmax(0)).sum(0).mean()
picked = -z.log_softmax(1)[range(8), y].mean() - z.log_softmax(1).gather(1, y.unsqueeze(1)).mean()
diagonal = -z.log_softmax(0)[rows, rows].mean()
entropy = -(z.softmax(1) * z.log_softmax(1)).sum(1).mean()
(both + picked + diagonal + entropy).backward()
