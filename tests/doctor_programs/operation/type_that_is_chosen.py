"""A type of tensors for either device; and one that is not known, in which labels may well be integers."""

import torch
import torch.nn.functional as F


def loss_of(model, x, boxes, kind):
    LongTensor = torch.cuda.LongTensor if x.is_cuda else torch.LongTensor
    FloatTensor = torch.cuda.FloatTensor if x.is_cuda else torch.FloatTensor
    classes = torch.zeros(4, 10)
    loss = F.cross_entropy(model(x), classes[boxes].type(LongTensor)[:, 0])
    loss = loss + F.cross_entropy(model(x), torch.zeros(4).type(kind))
    labels = LongTensor([0, 1, 2, 3]).type(FloatTensor)
    return loss + F.cross_entropy(torch.randn(4, 8), labels)  # finds float-class-index certain
