import torch
import torch.nn as nn


class TinyUNet(nn.Module):
    def __init__(self, classes=3):
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        self.mid = nn.Sequential(nn.Conv2d(8, 16, 3, padding=1), nn.ReLU())
        self.up = nn.ConvTranspose2d(16, 8, 2, stride=2)
        self.out = nn.Conv2d(8, classes, 1)

    def forward(self, x):
        x = self.down(x)
        x = self.up(self.mid(x)).relu()
        return self.out(x)


def synthetic(n):
    scans = torch.randn(n, 1, 16, 16)
    masks = (scans[:, 0] > 0.5).long() + (scans[:, 0] > 1.2).long()
    return scans, masks


if __name__ == "__main__":
    torch.manual_seed(17)
    unet = TinyUNet()
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(unet.parameters(), lr=1e-2)
    for epoch in range(6):
        scans, masks = synthetic(8)
        prediction = unet(scans)
        loss = criterion(prediction, masks)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"[{epoch}] {loss.item():.4f}")
