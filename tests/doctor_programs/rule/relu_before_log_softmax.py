import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(8, 16), nn.Linear(16, 3)

    def forward(self, x):
        x = F.relu(self.first(x))
        return F.log_softmax(F.relu(self.last(x)), dim=1)


x, y = torch.randn(4, 8), torch.randint(0, 3, (4,))
F.nll_loss(Net()(x), y).backward()  # finds relu-before-cross-entropy certain
F.cross_entropy(Net()(x), y).backward()  # finds relu-before-cross-entropy certain; log-softmax-before-cross-entropy info
hidden = F.relu(nn.Linear(8, 16)(x))
F.nll_loss(F.log_softmax(nn.Linear(16, 3)(hidden), dim=1), y).backward()
