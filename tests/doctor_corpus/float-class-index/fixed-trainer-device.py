from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import nn


@dataclass
class Trainer:
    model: nn.Module
    device: torch.device = torch.device("cpu")
    history: list = field(default_factory=list)

    def __post_init__(self):
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-2)

    def prepare(self, batch):
        x, y = batch
        return x.to(self.device).float(), y.to(self.device).long()

    def step(self, batch):
        x, y = self.prepare(batch)
        loss = F.nll_loss(F.log_softmax(self.model(x), dim=1), y)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.history.append(loss.item())


torch.manual_seed(121)
pixels = torch.randint(0, 256, (40, 16))
digit = pixels[:, 0] * 10 // 256
trainer = Trainer(nn.Sequential(nn.LayerNorm(16), nn.Linear(16, 10)))
for part in zip(pixels.split(10), digit.split(10)):
    trainer.step(part)
print(trainer.history)
