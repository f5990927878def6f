import torch
import torch.nn as nn
import torch.nn.functional as F


class Discriminator(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.fc1 = nn.Linear(dim, 8)
        self.fc2 = nn.Linear(8, 1)

    def forward(self, x):
        x = F.leaky_relu(self.fc1(x), 0.2)
        return torch.sigmoid(self.fc2(x))
