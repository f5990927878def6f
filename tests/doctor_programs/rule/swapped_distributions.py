import torch
import torch.nn.functional as F
from torch import nn

student, teacher = nn.Linear(4, 3), nn.Linear(4, 3).requires_grad_(False)
x = torch.randn(8, 4)
q, p = F.log_softmax(student(x), dim=-1), F.softmax(teacher(x), dim=-1)
loss = F.kl_div(p, q, reduction="batchmean")  # finds swapped-arguments certain

q, p = F.log_softmax(student(x), dim=-1), F.softmax(teacher(x), dim=-1)
loss = nn.KLDivLoss(reduction="batchmean")(p, q)  # finds swapped-arguments certain

q, p = F.log_softmax(student(x), dim=-1), F.softmax(teacher(x), dim=-1)
loss = F.kl_div(q, p, reduction="batchmean")

q, p = F.log_softmax(student(x), dim=-1), F.log_softmax(teacher(x), dim=-1)
loss = F.kl_div(p, q, reduction="batchmean", log_target=True)
