import torch
import torch.nn.functional as F
from torch import nn

student, teacher = nn.Linear(4, 10), nn.Linear(4, 10)


def distilled(scores, taught, t):
    return nn.KLDivLoss()(F.log_softmax(scores / t, 1), F.softmax(taught / t, 1)) * t * t  # finds kl-div-reduction certain


x = torch.randn(5, 4)
distilled(student(x), teacher(x).detach(), t=10.0).backward()
