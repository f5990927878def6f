from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass
class HParams:
    sensors: int = 7
    states: int = 5
    width: int = 32
    lr: float = 0.02


class LitStateClassifier(nn.Module):
    def __init__(self, hparams: HParams):
        super().__init__()
        self.hparams = hparams
        self.encoder = nn.Sequential(nn.Linear(hparams.sensors, hparams.width), nn.SiLU())
        self.classifier = nn.Linear(hparams.width, hparams.states)

    def forward(self, x):
        return self.classifier(self.encoder(x))

    def training_step(self, batch, batch_idx):
        readings, state = batch
        out = self(readings)
        loss = F.nll_loss(F.log_softmax(out, dim=-1), state)
        self.log("train_loss", loss)
        return loss

    def log(self, key, value):
        print(f"{key}={value.item():.4f}")

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.hparams.lr)


def fit(module, loader):
    optimizer = module.configure_optimizers()
    for i, batch in enumerate(loader):
        loss = module.training_step(batch, i)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


torch.manual_seed(23)
readings = torch.randn(100, 7)
states = torch.randint(5, (100,))
fit(LitStateClassifier(HParams()), list(zip(readings.split(20), states.split(20))))
