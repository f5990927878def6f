import io

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

rng = np.random.default_rng(4)
rows = rng.normal(size=(60, 5))
rows[:, 4] = (rows[:, 0] > 0).astype(int) + (rows[:, 1] > 0)
buffer = io.StringIO()
np.savetxt(buffer, rows, delimiter=",")
buffer.seek(0)

table = np.loadtxt(buffer, delimiter=",", dtype=np.float32)
inputs = torch.tensor(table[:, :4])
labels = torch.tensor(table[:, 4]).long()

torch.manual_seed(4)
loader = DataLoader(TensorDataset(inputs, labels), batch_size=12)
model = nn.Sequential(nn.Linear(4, 10), nn.ReLU(), nn.Linear(10, 3))
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for step, (x, y) in enumerate(loader):
    loss = criterion(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(f"step {step}: {loss.item():.4f}")
