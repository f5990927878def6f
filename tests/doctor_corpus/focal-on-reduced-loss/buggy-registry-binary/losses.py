from functools import partial

import torch
import torch.nn.functional as F

REGISTRY = {}


def register(name):
    def wrap(fn):
        REGISTRY[name] = fn
        return fn

    return wrap


@register("bce")
def bce(outputs, labels):
    return F.binary_cross_entropy_with_logits(outputs, labels)


@register("focal")
def focal(outputs, labels, gamma=2.0):
    bce_loss = F.binary_cross_entropy_with_logits(outputs, labels)  # here
    p_true = torch.exp(-bce_loss)  # here
    return (1 - p_true).pow(gamma) * bce_loss  # here


def get_loss(name, **kwargs):
    return partial(REGISTRY[name], **kwargs)
