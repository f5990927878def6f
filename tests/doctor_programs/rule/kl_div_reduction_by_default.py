import torch
import torch.nn.functional as F
from torch import nn

student, teacher = nn.Linear(4, 3), nn.Linear(4, 3)
x = torch.randn(8, 4)
with torch.no_grad():
    q = F.softmax(teacher(x), 1)
loss = F.kl_div(F.log_softmax(student(x), 1), q)  # finds kl-div-reduction certain
