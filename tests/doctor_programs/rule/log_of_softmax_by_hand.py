import torch
import torch.nn.functional as F
from torch import nn

linear = nn.Linear(3, 4)
y = torch.randint(0, 4, (2,))
p = F.softmax(linear(torch.randn(2, 3)), dim=1)
loss = -torch.log(p[torch.arange(2), y]).mean()  # finds log-of-softmax certain
loss.backward()

y = F.one_hot(torch.randint(0, 4, (2,)), 4).float()
p = F.softmax(linear(torch.randn(2, 3)), dim=1)
loss = -(y * torch.log(p)).sum(1).mean()  # finds log-of-softmax certain
loss.backward()
