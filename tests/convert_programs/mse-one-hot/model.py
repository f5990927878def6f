import torch.nn as nn


def build(n_in, n_out):
    return nn.Sequential(
        nn.Linear(n_in, 8),
        nn.Tanh(),
        nn.Linear(8, n_out),
        nn.Softmax(dim=1),
    )
