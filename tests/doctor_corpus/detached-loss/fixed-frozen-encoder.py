import torch
from torch import nn
from torch.nn import functional as F


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 3)

    def forward(self, x):
        return self.conv(x).relu().mean(dim=(2, 3))


class LinearProbe(nn.Module):
    def __init__(self, encoder, classes):
        super().__init__()
        self.encoder = encoder.requires_grad_(False)
        self.head = nn.Linear(6, classes)

    def forward(self, x):
        with torch.no_grad():
            features = self.encoder(x)
        scores = self.head(features)
        return scores


def main():
    torch.manual_seed(292)
    probe = LinearProbe(Encoder(), classes=3)
    optimizer = torch.optim.SGD(probe.head.parameters(), lr=0.1)
    for step in range(5):
        texture = torch.randn(20, 1, 8, 8)
        kind = torch.arange(20) % 3
        loss = F.cross_entropy(probe(texture * (1 + kind[:, None, None, None])), kind)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(step, loss.item())


if __name__ == "__main__":
    main()
