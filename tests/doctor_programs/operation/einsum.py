import torch
import torch.nn.functional as F
from torch import nn

y = torch.randint(0, 4, (32,))
weight, bias = nn.Parameter(torch.randn(6, 4)), nn.Parameter(torch.zeros(4))
x = torch.randn(32, 6)

F.nll_loss(torch.einsum("nd,dk->nk", x, weight), y).backward()  # finds logits-into-nll certain
F.nll_loss(torch.einsum("nd,dk -> nk", x, weight) + bias, y).backward()  # finds logits-into-nll certain
F.cross_entropy(torch.einsum("nd,dk->nk", x, weight) + bias, y).backward()


def experts():
    return torch.einsum("nd,edk->nek", x, nn.Parameter(torch.randn(3, 6, 4))).softmax(-1)


def gates():
    return nn.Linear(6, 3)(x).softmax(dim=-1)


F.nll_loss((gates().unsqueeze(-1) * experts()).sum(1), y).backward()  # finds softmax-before-nll certain
F.nll_loss(torch.einsum("ne,nek->nk", gates(), experts()), y).backward()  # finds softmax-before-nll certain
F.nll_loss(torch.einsum("nek,ne->nk", [experts(), gates()]), y).backward()  # finds softmax-before-nll certain
F.nll_loss(torch.bmm(gates().unsqueeze(1), experts()).squeeze(1), y).backward()  # finds softmax-before-nll certain
F.nll_loss((gates()[:, :, None] * experts()).sum(dim=1).clamp_min(1e-8).log(), y).backward()

queries = torch.randn(2, 4, 6), torch.randn(2, 6, 8, 8)
masks = torch.einsum("bqc,bchw->bqhw", nn.Linear(6, 6)(queries[0]), queries[1])
F.cross_entropy(masks, torch.randint(0, 4, (2, 8, 8))).backward()
scores = torch.einsum("ncd,nld->ncl", nn.Linear(6, 6)(torch.randn(2, 4, 6)), torch.randn(2, 9, 6))
F.cross_entropy(scores, torch.randint(0, 4, (2, 9))).backward()
F.cross_entropy(torch.einsum("ne,nek->nk", gates(), nn.Linear(6, 12)(x).view(32, 3, 4)), y).backward()
F.cross_entropy((gates().unsqueeze(-1) * nn.Linear(6, 12)(x).view(32, 3, 4)).sum(1), y).backward()
