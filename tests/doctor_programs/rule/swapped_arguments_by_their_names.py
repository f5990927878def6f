"""Of what a loss is given nothing is known but the names, by which the target comes first."""

import torch
import torch.nn.functional as F
from torch import nn


def entropy_of(labels, logits, weight):
    return torch.mean(-weight * torch.sum(labels * F.log_softmax(logits, dim=-1), dim=-1))


class Objective:
    def __init__(self, guided):
        self.criterion = nn.KLDivLoss(reduction="batchmean") if guided else nn.BCEWithLogitsLoss()

    def compute(self, predictions, targets, batch):
        pred_mask, gt_mask = predictions["mask"], targets["mask"]
        loss = F.binary_cross_entropy_with_logits(gt_mask.data, pred_mask.data)  # finds swapped-arguments likely
        loss = loss + self.criterion(batch.target_attention.log(), batch.attention)  # finds swapped-arguments likely
        return loss + entropy_of(predictions["logits"], batch.labels, 1.0)  # finds swapped-arguments likely
