import torch
import torch.nn.functional as F
from torch import nn

student, teacher, rows = nn.Linear(6, 10), nn.Linear(6, 10), torch.randn(16, 6)
goal = teacher(rows).softmax(1).detach()
log_q = student(rows).log_softmax(1)
terms = F.kl_div(log_q, goal, reduction="none")
over_all = terms.mean()  # finds kl-div-reduction certain
over_classes = (terms.mean(1) * 9).mean()  # finds kl-div-reduction certain
over_last = terms.mean(dim=-1).sum()  # finds kl-div-reduction certain
weighed = (nn.KLDivLoss(reduction="none")(log_q, goal) * 4).mean()  # finds kl-div-reduction certain
by_rows = terms.sum(1).mean() + terms.sum(-1).mean() + terms.mean(0).sum() + terms.sum() / 16
(over_all + over_classes + over_last + weighed + by_rows).backward()


def distil(log_q, goal):
    return F.kl_div(log_q, F.softmax(goal, dim=1), reduction="none").mean()  # finds kl-div-reduction certain


def gates(log_q, goal):
    return F.kl_div(log_q, goal, reduction="none").mean()
