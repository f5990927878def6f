import torch
import torch.nn.functional as F
from torch import nn

model, teacher = nn.Linear(4, 3), nn.Linear(4, 3)
x, y = torch.randn(8, 4), torch.randint(0, 3, (8,))
z, rows = model(x), torch.arange(8)
one_hot, goal = F.one_hot(y, 3).float(), teacher(x).softmax(1).detach()

summed = -(one_hot * F.log_softmax(z, 0)).sum(1)  # finds softmax-wrong-dim certain
soft = -(goal * z.log_softmax(0)).sum(-1)  # finds softmax-wrong-dim certain
picked = -z.log_softmax(0)[range(8), y]  # finds softmax-wrong-dim certain
by_rows = -z.log_softmax(0)[rows, y]  # finds softmax-wrong-dim certain
gathered = -z.log_softmax(0).gather(1, y.unsqueeze(1))  # finds softmax-wrong-dim certain
two_steps = -torch.log(z.softmax(1))[range(8), y]  # finds log-of-softmax certain
of_column = -torch.log(z.softmax(1)[rows, y])  # finds log-of-softmax certain
(summed.mean() + soft.mean() + picked.mean() + by_rows.mean() + gathered.mean()).backward()
two_steps.mean().backward()
of_column.mean().backward()


def own_loss(z, y):
    return -F.log_softmax(z, dim=0)[torch.arange(len(y)), y].mean()  # finds softmax-wrong-dim certain
