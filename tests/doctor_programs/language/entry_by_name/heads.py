import torch
from torch import nn


class Presence(nn.Module):
    def __init__(self, options):
        super().__init__()
        self.last = nn.Linear(options.width, options.lanes)

    def forward(self, x):
        return {"presence": torch.sigmoid(self.last(x)), "scores": self.last(x)}
