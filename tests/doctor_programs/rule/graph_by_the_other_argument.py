import torch
import torch.nn.functional as F
from torch import nn


class Quantizer(nn.Module):
    def __init__(self, codes, width):
        super().__init__()
        self.codes = nn.Embedding(codes, width)

    def forward(self, z):
        nearest = torch.cdist(z, self.codes.weight).argmin(1)
        codes = self.codes(nearest)
        loss = F.mse_loss(codes, z.detach()) + 0.25 * F.mse_loss(codes.detach(), z)
        return z + (codes - z).detach(), loss


def train(encoder, decoder, loader):
    quantizer = Quantizer(16, 4)
    for rows in loader:
        codes, commitment = quantizer(encoder(rows))
        (F.mse_loss(decoder(codes), rows) + commitment).backward()


def commitment(codes, z):
    F.mse_loss(codes.detach(), z).backward()


def mutual(first, second, x):
    F.kl_div(first(x).log_softmax(1).detach(), second(x).softmax(1), reduction="batchmean").backward()


encoder = nn.Linear(4, 4)
z = encoder(torch.randn(8, 4))
F.mse_loss(torch.round(z).detach(), z).backward()
