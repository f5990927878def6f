"""Float targets of the shape of the logits are probabilities; the indices stay integers."""
import numpy as np
import torch
from torch import nn

rng = np.random.default_rng(8)
torch.manual_seed(8)
features = torch.from_numpy(rng.normal(size=(48, 6)).astype("float32"))
soft = torch.from_numpy(rng.dirichlet([0.5, 0.5, 0.5], size=48).astype("float32"))
raw_ids = rng.integers(0, 3, size=48).astype("float64")
hard = torch.from_numpy(raw_ids).to(torch.int64)

model = nn.Linear(6, 3)
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for epoch in range(5):
    logits = model(features)
    loss = criterion(logits, soft) + criterion(logits, hard)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(epoch, loss.item())
