import torch
import torch.nn.functional as F
from torch import nn


def smoothness(model, x, noise):
    divergence = nn.KLDivLoss(reduction="batchmean")
    now = model(x)
    near = model(x + noise)
    return divergence(F.log_softmax(near, dim=1), now.detach())  # finds unnormalized-target likely


def smoothness_of_probabilities(model, x, noise):
    divergence = nn.KLDivLoss(reduction="batchmean")
    now = F.softmax(model(x), dim=1)
    near = model(x + noise)
    return divergence(F.log_softmax(near, dim=1), now.detach())


def to_a_teacher(model, teacher, x):
    return F.kl_div(F.log_softmax(model(x), dim=1), teacher(x), reduction="batchmean")  # which may give probabilities


def of_rows(rows, student, taught):
    return F.kl_div(F.log_softmax(rows(student), 1), rows(taught.softmax(1)), reduction="batchmean")
