import torch
import torch.nn.functional as F
from torch import nn

teacher = nn.Linear(4, 3)
for parameter in teacher.parameters():
    parameter.requires_grad = False
student = nn.Linear(4, 3)
x = torch.randn(8, 4)
loss = F.kl_div(F.log_softmax(student(x), -1), F.softmax(teacher(x), -1), reduction="batchmean")
loss.backward()
