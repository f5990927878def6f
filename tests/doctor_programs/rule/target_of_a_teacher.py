import torch
import torch.nn.functional as F
from torch import nn

student, teacher = nn.Linear(4, 3), nn.Linear(4, 3)
x = torch.randn(8, 4)
with torch.no_grad():
    p = teacher(x).softmax(-1)
loss = F.cross_entropy(student(x), p)
loss.backward()
