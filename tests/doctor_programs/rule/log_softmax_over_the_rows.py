import torch
import torch.nn.functional as F
from torch import nn

scorer = nn.Linear(4, 1)


class Chooser(nn.Module):
    def __init__(self, reader):
        super().__init__()
        self.reader = reader
        self.norm = nn.LogSoftmax(dim=0)

    def forward(self, options):
        return self.norm(torch.stack([torch.sum(self.reader(option), 1) for option in options], 1))


def train(loader, reader):
    chooser, criterion = Chooser(reader), nn.CrossEntropyLoss()
    for options, answer in loader:
        criterion(chooser(options), answer.view(-1)).backward()  # finds softmax-wrong-dim certain


def train_by_batches(model, loader):
    for x, y in loader:
        F.nll_loss(F.log_softmax(model(x), dim=0), y).backward()  # finds softmax-wrong-dim likely


def train_one_by_one(model, rows):
    for x, y in rows:
        scores = F.log_softmax(model(x).view(-1), dim=0)
        F.nll_loss(scores.unsqueeze(0), y).backward()


def of_one(options):
    return scorer(options).view(-1).log_softmax(0)[2]


F.nll_loss(scorer(torch.randn(5, 4)).view(-1).log_softmax(0), torch.tensor(3)).backward()
