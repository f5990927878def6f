import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(111)


def load_tiles(n):
    tiles = torch.rand(n, 4, 8, 8)
    mask = (tiles[:, :1] * 3).long()
    return tiles, mask


class LandCover(nn.Module):
    def __init__(self, bands=4, covers=3):
        super().__init__()
        self.conv = nn.Conv2d(bands, 16, 3, padding=1)
        self.classify = nn.Conv2d(16, covers, 1)

    def forward(self, tiles):
        return self.classify(F.elu(self.conv(tiles)))


model = LandCover()
opt = torch.optim.Adam(model.parameters(), lr=1e-2)
for it in range(4):
    tiles, mask = load_tiles(6)
    loss = F.cross_entropy(model(tiles), mask)  # here
    opt.zero_grad()
    loss.backward()
    opt.step()
    print(f"iteration {it}: {loss.item():.3f}")
