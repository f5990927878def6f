import torch.nn as nn


class Classifier(nn.Module):
    def __init__(self, in_dim, out_dim, activation="softmax"):
        super().__init__()
        self.body = nn.Linear(in_dim, 8)
        self.head = nn.Linear(8, out_dim)
        if activation == "softmax":
            self.activation = nn.Softmax(dim=1)
        elif activation == "sigmoid":
            self.activation = nn.Sigmoid()
        else:
            self.activation = None

    def forward(self, x):
        x = self.body(x).relu()
        x = self.head(x)
        if self.activation is not None:
            x = self.activation(x)
        return x
