"""Votes of annotators as probabilities, rounded as a file would store them."""
import numpy as np
import torch
import torch.nn as nn

rng = np.random.default_rng(15)
votes = rng.multinomial(6, [0.5, 0.3, 0.2], size=72)
share = np.round(votes / votes.sum(axis=1, keepdims=True), 6).astype(np.float32)

torch.manual_seed(15)
galaxies = torch.randn(72, 9)
morphology = torch.from_numpy(share)
model = nn.Sequential(nn.Linear(9, 16), nn.ReLU(), nn.Linear(16, 3))
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for start in range(0, 72, 18):
    x, y = galaxies[start:start + 18], morphology[start:start + 18]
    loss = criterion(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(start, loss.item())
