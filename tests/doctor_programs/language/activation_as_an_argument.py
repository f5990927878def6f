import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, n, activation=None):
        super().__init__()
        self.fc = nn.Linear(4, n)
        self.activation = activation

    def forward(self, x):
        x = self.fc(x)
        if self.activation is not None:
            x = self.activation(x)
        return x


model = Net(3, activation=torch.nn.Softmax(dim=1))
loss = nn.CrossEntropyLoss()(model(torch.randn(2, 4)), torch.randint(0, 3, (2,)))  # finds softmax-before-cross-entropy certain
