"""Mixup: the rows are mixtures of two one-hot rows, so class indices would not do."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(133)
CLASSES = 5
images = torch.randn(60, 3, 8, 8)
labels = torch.randint(CLASSES, (60,))
net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, CLASSES))
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
beta = torch.distributions.Beta(1.0, 1.0)

for x, y in zip(images.split(12), labels.split(12)):
    lam = beta.sample().item()
    order = torch.randperm(len(x))
    one_hot = F.one_hot(y, CLASSES).float()
    mixed_x = lam * x + (1 - lam) * x[order]
    mixed_y = lam * one_hot + (1 - lam) * one_hot[order]
    loss = criterion(net(mixed_x), mixed_y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(f"lambda {lam:.2f} loss {loss.item():.4f}")
