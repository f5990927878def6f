from torch import nn


class Squashed(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.body = nn.Linear(3, classes)

    def forward(self, rows):
        return self.body(rows).softmax(dim=1)
