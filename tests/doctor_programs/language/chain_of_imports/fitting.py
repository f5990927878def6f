import torch.nn.functional as F


def fit(model, x, y):
    return F.cross_entropy(model(x).softmax(1), y)  # finds softmax-before-cross-entropy certain
