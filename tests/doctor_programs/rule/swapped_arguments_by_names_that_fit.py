"""Names that say nothing, or that everything is in its place; a divergence the other way about may be meant."""

import torch.nn.functional as F


def loss_of(outputs, labels, weight=None):
    return F.cross_entropy(outputs, labels, weight)


def compute(model, rows, label_scores, target, target_outputs, outputs, pred):
    loss = F.cross_entropy(label_scores, target) + loss_of(target_outputs, pred)
    loss = loss + F.l1_loss(target, pred) + loss_of(model(rows), target)
    loss = loss + F.kl_div(target.log(), outputs) + F.nll_loss(outputs[target], target)
    target = model(rows)
    return loss + F.cross_entropy(target, outputs)
