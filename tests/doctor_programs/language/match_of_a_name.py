import torch
from torch import nn


def activation(name, strict=False):
    match name:
        case "softmax" | "probabilities":
            return nn.Softmax(1)
        case "gated" if strict:
            return nn.Sigmoid()
        case other:
            return nn.Identity()


x, y = torch.randn(8, 5), torch.randint(0, 4, (8,))
criterion = nn.CrossEntropyLoss()
criterion(activation("softmax")(nn.Linear(5, 4)(x)), y).backward()  # finds softmax-before-cross-entropy certain
criterion(activation("probabilities")(nn.Linear(5, 4)(x)), y).backward()  # finds softmax-before-cross-entropy certain
criterion(activation("none")(nn.Linear(5, 4)(x)), y).backward()
criterion(activation("gated")(nn.Linear(5, 4)(x)), y).backward()
criterion(activation("gated", True)(nn.Linear(5, 4)(x)), y).backward()  # finds sigmoid-before-cross-entropy certain


def of_any_kind(kind, x, y):
    match kind:
        case "softmax":
            act = nn.Softmax(1)
        case _:
            act = nn.Identity()
    return criterion(act(nn.Linear(5, 4)(x)), y)
