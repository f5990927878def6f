import torch
import torch.nn.functional as F
from torch import nn

linear = nn.Linear(4, 1)
y = torch.tensor([1, 2, 3, 0]).float().view(-1, 1)
loss = nn.BCEWithLogitsLoss()(linear(torch.randn(4, 4)), y)  # finds class-index-into-bce certain

model = nn.Linear(4, 1)
y = torch.randint(0, 4, (8, 1)).float()
loss = F.binary_cross_entropy(torch.sigmoid(model(torch.randn(8, 4))), y)  # finds class-index-into-bce certain

model = nn.Linear(4, 5)
y = F.one_hot(torch.randint(0, 5, (8,)), 5).float()
loss = F.binary_cross_entropy_with_logits(model(torch.randn(8, 4)), y)
