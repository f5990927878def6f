from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

rnn, head = nn.GRU(9, 16), nn.Linear(16, 4)
labels = torch.randint(0, 4, (11, 6))


def scores():
    return head(rnn(torch.randn(11, 6, 9))[0])


over_rows, over_classes = partial(F.log_softmax, dim=1), partial(F.log_softmax, dim=-1)

F.nll_loss(over_rows(scores()).flatten(0, 1), labels.flatten()).backward()  # finds softmax-wrong-dim certain
F.nll_loss(over_classes(scores()).flatten(0, 1), labels.flatten()).backward()

first = scores().log_softmax(0)
F.nll_loss(first.view(-1, 4), labels.view(-1)).backward()  # finds softmax-wrong-dim certain
F.nll_loss(scores().view(-1, 4).log_softmax(1), labels.view(-1)).backward()


def of_any_size(x, y):
    logp = head(x).log_softmax(1).reshape(-1, 4)
    return F.nll_loss(logp, y.reshape(-1))


lone = head(torch.randn(11, 1, 16)).log_softmax(2)
F.nll_loss(lone.squeeze(1), labels[:, 0]).backward()
F.nll_loss(head(torch.randn(6, 16)).log_softmax(1).view(-1, 4), labels[0]).backward()

last = scores().log_softmax(1)[:, -1]
F.nll_loss(last, labels[:, -1]).backward()  # finds softmax-wrong-dim certain
some = torch.rand(11, 6) > 0.5
F.nll_loss(scores().log_softmax(0)[some], labels[some]).backward()  # finds softmax-wrong-dim certain
F.nll_loss(scores().log_softmax(2)[some], labels[some]).backward()
F.nll_loss(scores()[:, -1].log_softmax(1), labels[:, -1]).backward()
F.nll_loss(scores().log_softmax(-1)[:, 0], labels[:, 0]).backward()
