from torch import nn

from base import Trained


class Squashed(Trained):
    def __init__(self, classes=4):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, classes), nn.Softmax(dim=1))

    def forward(self, rows):
        return self.body(rows)


class Raw(Trained):
    def __init__(self, classes=4):
        super().__init__()
        self.body = nn.Linear(3, classes)

    def forward(self, rows):
        return self.body(rows)


class Own(Squashed):
    def fit(self, batches):
        return None
