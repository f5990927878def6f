import torch
import torch.nn as nn
import torch.nn.functional as F


class AgeNet(nn.Module):
    """Predicts a distribution over age groups."""

    def __init__(self, groups=16):
        super().__init__()
        self.features = nn.Sequential(nn.Linear(20, 32), nn.ReLU())
        self.groups = nn.Linear(32, groups)

    def forward(self, face):
        return F.log_softmax(self.groups(self.features(face)), dim=1)


def gaussian_targets(age, groups=16, sigma=1.5):
    position = torch.arange(groups).float()
    return F.softmax(-((position - age[:, None]) ** 2) / (2 * sigma**2), dim=1)


if __name__ == "__main__":
    torch.manual_seed(251)
    faces = torch.randn(64, 20)
    ages = (faces[:, 0].sigmoid() * 15)
    net = AgeNet()
    criterion = nn.KLDivLoss(reduction="batchmean")
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for x, age in zip(faces.split(16), ages.split(16)):
        loss = criterion(net(x), gaussian_targets(age))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"{loss.item():.5f}")
