import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Customers(Dataset):
    def __init__(self, n=96, seed=0):
        rng = np.random.RandomState(seed)
        self.features = rng.randn(n, 11).astype("float32")
        self.churned = (self.features[:, 0] + 0.3 * rng.randn(n) > 0.4).astype("float32")

    def __len__(self):
        return len(self.churned)

    def __getitem__(self, i):
        return self.features[i], self.churned[i]


class ChurnModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(11, 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, x):
        return self.layers(x).squeeze(1)


torch.manual_seed(1)
model = ChurnModel()
criterion = nn.BCEWithLogitsLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
for step, (features, churned) in enumerate(DataLoader(Customers(), batch_size=16)):
    loss = criterion(model(features), churned)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(f"{step}: {loss.item():.4f}")
