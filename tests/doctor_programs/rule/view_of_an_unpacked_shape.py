"""A shape that is taken apart says where the classes are: a view to rows of them mixes these with the pixels."""

import torch
import torch.nn.functional as F


def pixelwise_loss(student, teacher):
    batch, classes, height, width = student[0].shape
    shares = F.softmax(teacher[0].permute(0, 2, 3, 1).reshape(-1, classes), dim=1)
    logs = F.log_softmax(student[0].view(-1, classes), dim=1)  # finds view-instead-of-permute likely
    return torch.sum(-shares * logs) / (batch * height * width)


def divergence(student, teacher):
    batch, classes, length = student.size()
    logs = student.view(-1, classes).log_softmax(dim=1)  # finds view-instead-of-permute likely
    return F.kl_div(logs, teacher.transpose(1, 2).reshape(-1, classes), reduction="batchmean")


def right(logits, image, labels):
    batch, length, classes = logits.shape
    loss = F.cross_entropy(logits.view(-1, classes), labels.view(-1))
    batch, channels, height, width = image.shape
    return loss + F.cross_entropy(image.permute(0, 2, 3, 1).reshape(-1, channels), labels.view(-1))
