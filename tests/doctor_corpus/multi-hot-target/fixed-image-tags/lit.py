import torch
import torch.nn.functional as F
from torch import nn


class ImageTagger(nn.Module):
    def __init__(self, n_tags):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveMaxPool2d(2), nn.Flatten())
        self.head = nn.Linear(32, n_tags)

    def forward(self, x):
        return self.head(self.features(x))

    def training_step(self, batch):
        images, tags = batch
        logits = self(images)
        return F.binary_cross_entropy_with_logits(logits, tags)


def fit(module, loader):
    optimizer = torch.optim.Adam(module.parameters(), lr=3e-3)
    for batch in loader:
        loss = module.training_step(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"{loss.item():.4f}")
