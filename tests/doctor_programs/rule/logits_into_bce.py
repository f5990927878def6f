import torch
from torch import nn


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 8)
        self.b = nn.Linear(8, 1)

    def forward(self, x):
        return self.b(torch.relu(self.a(x)))


model = Classifier()
criterion = nn.BCELoss()


def train(loader):
    for x, y in loader:
        loss = criterion(model(x).squeeze(), y)  # finds logits-into-bce certain
        loss.backward()
