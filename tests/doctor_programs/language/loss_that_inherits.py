import torch
from torch import nn


class MyLoss(nn.CrossEntropyLoss):
    def forward(self, x, y):
        return super().forward(x, y)  # finds softmax-before-cross-entropy certain


model = nn.Sequential(nn.Linear(4, 3), nn.Softmax(1))
loss = MyLoss()(model(torch.randn(2, 4)), torch.randint(0, 3, (2,)))
