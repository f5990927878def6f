import torch
import torch.nn.functional as F
from torch import nn

SMOOTHING = 0.1

torch.manual_seed(322)
melodies = torch.randn(72, 20)
composer = melodies[:, :5].argmax(dim=1)
net = nn.Sequential(nn.Linear(20, 24), nn.ReLU(), nn.Linear(24, 5))
optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)

for epoch in range(2):
    for x, y in zip(melodies.split(24), composer.split(24)):
        loss = F.cross_entropy(net(x), y, label_smoothing=SMOOTHING)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"{epoch} {loss.item():.4f}")
