"""Background is a class of its own, at the right of each strip by nature: nothing is padding."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(194)
BACKGROUND, STEM, LEAF = 0, 1, 2


def strips(n):
    width = torch.randint(4, 10, (n, 1))
    column = torch.arange(16)
    label = torch.where(column < width, LEAF, BACKGROUND)
    label = torch.where(column < width // 2, STEM, label)
    colour = torch.eye(3)[label].transpose(1, 2) + 0.5 * torch.randn(n, 3, 16)
    return colour, label


net = nn.Sequential(nn.Conv1d(3, 12, 5, padding=2), nn.ReLU(), nn.Conv1d(12, 3, 1))
opt = torch.optim.Adam(net.parameters(), lr=0.01)
for step in range(5):
    colour, label = strips(20)
    loss = F.cross_entropy(net(colour), label)
    opt.zero_grad()
    loss.backward()
    opt.step()
    print(step, loss.item())
