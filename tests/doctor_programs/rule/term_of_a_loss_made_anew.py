import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x, y):
        terms = []
        for layer in (self.first, self.second):
            terms.append(F.cosine_similarity(layer(x), x, dim=1).abs().mean())
        apart = torch.mean(torch.tensor(terms).to(x.device))  # finds detached-loss certain
        return F.cross_entropy(self.head(x), y) + 0.1 * apart


class Joined(Net):
    def forward(self, x, y):
        terms = [F.cosine_similarity(layer(x), x, dim=1).abs().mean() for layer in (self.first, self.second)]
        return F.cross_entropy(self.head(x), y) + 0.1 * torch.stack(terms).mean()


class Unused(Net):
    def forward(self, x, y):
        apart = torch.tensor([F.cosine_similarity(self.first(x), x, dim=1).mean()])[0]  # finds detached-loss likely
        return x, F.cross_entropy(self.head(x), y) + apart


x, y = torch.randn(5, 4), torch.randint(0, 3, (5,))
for net in (Net(), Joined()):
    net(x, y).backward()
