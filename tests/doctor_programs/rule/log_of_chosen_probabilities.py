import torch
import torch.nn.functional as F
from torch import nn

net = nn.Linear(5, 4)
x, y = torch.randn(4, 5), torch.randint(0, 4, (4,))


def chances():
    return net(x).softmax(dim=1)


def hot():
    return F.one_hot(y, 4)


chances().diagonal().log().neg().mean().backward()  # finds log-of-softmax certain
(-torch.diag(chances()).log().mean()).backward()  # finds log-of-softmax certain
(-torch.einsum("ii->i", chances()).log()).mean().backward()  # finds log-of-softmax certain
(-torch.log((chances() * torch.eye(4)).sum(1)).mean()).backward()  # finds log-of-softmax certain
(-torch.log((hot() * chances()).sum(-1)).mean()).backward()  # finds log-of-softmax certain
loss = torch.stack([-torch.log(chances()[i, y[i]]) for i in range(4)]).mean()  # finds log-of-softmax certain
loss.backward()

net(x).log_softmax(dim=1).diagonal().neg().mean().backward()
(-(net(x).log_softmax(dim=1) * torch.eye(4)).sum(1)).mean().backward()
shares = chances().diagonal().mean().item()
net(x).square().diagonal().log().mean().backward()
(chances() * hot()).sum(0).log().mean().backward()  # of a class, over all rows: a mean of softmaxes
(1 - chances().diagonal()).mean().backward()
