import torch
from torch import nn
from torch.nn import BCEWithLogitsLoss


class AnomalyModule(nn.Module):
    def __init__(self, n_in=6):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(n_in, 12), nn.ReLU(), nn.Linear(12, 1))

    def forward(self, x):
        return self.net(x).squeeze(-1)

    def training_step(self, batch):
        x, y = batch
        out = self(x)
        return BCEWithLogitsLoss()(out, y)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


def fit(module, batches):
    optimizer = module.configure_optimizers()
    for batch in batches:
        optimizer.zero_grad()
        loss = module.training_step(batch)
        loss.backward()
        optimizer.step()
        print(loss.item())


torch.manual_seed(272)
x = torch.randn(60, 6)
y = (x.abs().max(dim=1).values > 2).float()
fit(AnomalyModule(), zip(x.split(15), y.split(15)))
