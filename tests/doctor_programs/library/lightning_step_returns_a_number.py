import pytorch_lightning as pl
import torch.nn.functional as F
from torch import nn


class Classifier(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(3, 4)

    def training_step(self, batch, i):
        x, y = batch
        return F.cross_entropy(self.net(x), y).item()  # finds detached-loss certain
