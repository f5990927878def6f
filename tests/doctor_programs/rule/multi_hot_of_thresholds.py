import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

model = nn.Linear(16, 6)
x = torch.randn(64, 16)
tags = (x[:, :6] > 0).float()
for features, target in DataLoader(TensorDataset(x, tags), batch_size=8):
    loss = nn.CrossEntropyLoss()(model(features), target)  # finds multi-hot-target likely
    loss = nn.BCEWithLogitsLoss()(model(features), target)

pseudo = (torch.sigmoid(model(x)).detach() >= 0.5).float()
loss = F.cross_entropy(model(x), pseudo)  # finds multi-hot-target likely
loss = F.cross_entropy(model(x), pseudo / pseudo.sum(1, keepdim=True).clamp(min=1))

sure = (torch.softmax(model(x), 1).detach() > 0.5).float()  # at most one of a row
loss = F.cross_entropy(model(x), sure)
