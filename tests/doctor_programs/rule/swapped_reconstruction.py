import torch
import torch.nn.functional as F
from torch import nn

encoder, decoder = nn.Linear(8, 4), nn.Linear(4, 8)


def train(loader):
    for x, _ in loader:
        reconstruction = torch.sigmoid(decoder(encoder(x)))
        loss = F.binary_cross_entropy(x, reconstruction)  # finds swapped-arguments likely
        loss.backward()
