import torch
import torch.nn.functional as F
from torch import nn

student, teacher = nn.Linear(4, 3), nn.Linear(4, 3)
x = torch.randn(8, 5, 4)
loss = F.kl_div(F.log_softmax(student(x), -1), F.softmax(teacher(x).detach(), -1), reduction="batchmean")  # finds kl-div-reduction certain
