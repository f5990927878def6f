import torch
import torch.nn.functional as F
from torch import nn


def kd(s, t, T=2.0):
    return F.kl_div(F.softmax(s / T, 1), F.softmax(t / T, 1), reduction="batchmean") * T * T  # finds kl-div-on-probabilities certain


student, teacher = nn.Linear(4, 3), nn.Linear(4, 3)
for x in loader:
    with torch.no_grad():
        t = teacher(x)
    kd(student(x), t).backward()
