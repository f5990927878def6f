from torch import nn

from soft import *


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.gate = Soft()

    def forward(self, x):
        return self.linear(x)
