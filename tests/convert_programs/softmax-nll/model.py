import torch.nn as nn


class Policy(nn.Module):
    def __init__(self, inputs, classes):
        super(Policy, self).__init__()
        self.layer = nn.Linear(inputs, classes)
        self.sm = nn.Softmax(dim=1)

    def forward(self, inputs):
        return self.sm(self.layer(inputs))
