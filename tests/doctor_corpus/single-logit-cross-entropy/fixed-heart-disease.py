import numpy as np
import torch
from torch import nn

np.random.seed(0)
torch.manual_seed(0)

patients = np.random.randn(120, 9).astype(np.float32)
sick = (patients[:, 2] + patients[:, 5] > 0).astype(np.float32)

X = torch.from_numpy(patients)
y = torch.from_numpy(sick).unsqueeze(1)

model = nn.Sequential(
    nn.Linear(9, 32),
    nn.ReLU(),
    nn.Linear(32, 1),
)
criterion = nn.BCEWithLogitsLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

for epoch in range(6):
    pred = model(X)
    loss = criterion(pred, y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(f"Epoch {epoch + 1}/6, loss = {loss.item():.4f}")
