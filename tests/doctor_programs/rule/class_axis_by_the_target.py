import torch
import torch.nn.functional as F
from torch import nn


class Answers(nn.Module):
    def __init__(self, questions=7, levels=4):
        super().__init__()
        self.questions, self.levels = questions, levels
        self.answers = nn.Linear(6, questions * levels)

    def forward(self, x):
        return self.answers(x).view(-1, self.questions, self.levels)


def batches():
    for _ in range(3):
        x = torch.randn(16, 6)
        yield x, torch.randint(0, 4, (16, 7))


net = Answers()
for x, y in batches():
    F.cross_entropy(net(x), y).backward()  # finds class-axis-not-one certain
for x, y in batches():
    F.cross_entropy(net(x).transpose(1, 2), y).backward()

for x, _ in batches():
    scores = net(x)
    F.cross_entropy(scores, torch.randint(0, 7, (16, 4))).backward()


def every_pixel(grid, labels):
    scores = nn.Linear(6, 9 * 5 * 4)(grid).reshape(grid.size(0), 9, 5, 4)
    return F.cross_entropy(scores, labels)  # finds class-axis-not-one certain


every_pixel(torch.randn(2, 6), torch.randint(0, 4, (2, 9, 5))).backward()

square = nn.Linear(6, 4 * 4)(torch.randn(16, 6)).view(-1, 4, 4)
F.cross_entropy(square, torch.randint(0, 4, (16, 4))).backward()
