import torch
from torch import nn


class MLP(nn.Module):
    def __init__(self, n_in, n_hidden, n_out):
        super().__init__()
        self.features = nn.Sequential(nn.Linear(n_in, n_hidden), nn.ReLU())
        self.classifier = nn.Sequential(
            nn.Dropout(0.0),
            nn.Linear(n_hidden, n_out),
            nn.Softmax(dim=1),
        )

    def forward(self, x):
        x = self.features(x)
        x = torch.flatten(x, 1)
        return self.classifier(x)
