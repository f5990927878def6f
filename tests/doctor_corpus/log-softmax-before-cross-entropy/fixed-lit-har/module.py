import torch
from torch import nn
from torch.nn import functional as F


class ActivityModule(nn.Module):
    def __init__(self, channels: int, activities: int, lr: float = 1e-3):
        super().__init__()
        self.lr = lr
        self.rnn = nn.GRU(channels, 24, batch_first=True)
        self.head = nn.Linear(24, activities)
        self.act = nn.LogSoftmax(dim=-1)

    def forward(self, x):
        _, h = self.rnn(x.transpose(1, 2))
        return self.act(self.head(h[-1]))

    def training_step(self, batch, batch_idx):
        x, y = batch
        log_probs = self(x)
        loss = F.nll_loss(log_probs, y)
        return {"loss": loss, "acc": (log_probs.argmax(-1) == y).float().mean()}

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.lr)
