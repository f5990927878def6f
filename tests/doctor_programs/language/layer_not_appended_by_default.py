import torch
import torch.nn.functional as F
from torch import nn


class Classifier(nn.Module):
    def __init__(self, softmax=False):
        super().__init__()
        layers = [nn.Linear(4, 3)]
        if softmax:
            layers.append(nn.Softmax(1))
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return self.layers(x)


loss = F.cross_entropy(Classifier()(torch.randn(2, 4)), torch.randint(0, 3, (2,)))
second = F.nll_loss(torch.log_softmax(Classifier()(torch.randn(2, 4)), 1), torch.randint(0, 3, (2,)))
