import torch
import torch.nn as nn
import torch.nn.functional as F


class SoftCrossEntropy(nn.Module):
    def forward(self, logits, target):
        chances = F.softmax(logits, 1)
        return (-target * torch.log(chances)).sum(1).mean()  # finds log-of-softmax likely


class EntropyLoss(nn.Module):
    def forward(self, logits):
        chances = F.softmax(logits, 1)
        return -(chances * torch.log(chances + 1e-8)).sum(1).mean()


criterion, regularizer = SoftCrossEntropy(), EntropyLoss()


def total_loss(logits, target):
    return criterion(logits, target) + regularizer(logits)
