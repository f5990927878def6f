import fire
import torch
from torch import nn

from engine import Trainer


def main(lr=0.1):
    model = nn.Sequential(nn.Linear(3, 4), nn.LogSoftmax(dim=1))
    return Trainer(model, nn.CrossEntropyLoss(), torch.optim.SGD(model.parameters(), lr=lr))


fire.Fire(main)
