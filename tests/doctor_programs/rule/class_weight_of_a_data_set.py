import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

data = TensorDataset(torch.randn(20, 4), torch.randint(0, 3, (20,)), torch.rand(20))
model = nn.Linear(4, 3)
for x, y, w in DataLoader(data, batch_size=3):
    F.cross_entropy(model(x), y, weight=w)  # finds class-weight-shape certain
