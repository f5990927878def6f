import torch
from torch import nn

model = nn.Sequential(nn.Linear(4, 1), nn.Sigmoid())
loss = nn.BCELoss()(model(torch.randn(8, 4)).squeeze(1), torch.randint(0, 2, (8,)).float())
