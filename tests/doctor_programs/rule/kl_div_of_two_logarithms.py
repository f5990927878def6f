import torch
import torch.nn.functional as F

student, teacher = torch.nn.Linear(3, 7), torch.nn.Linear(3, 7)
x = torch.randn(5, 3)
log_q, log_p = F.log_softmax(student(x), 1), F.log_softmax(teacher(x), 1)
F.kl_div(log_q, log_p, reduction="batchmean").backward()  # finds unnormalized-target certain
F.kl_div(log_q, log_p, reduction="batchmean", log_target=True).backward()
