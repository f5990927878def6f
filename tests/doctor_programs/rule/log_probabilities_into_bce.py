import torch
import torch.nn.functional as F
from torch import nn

model = nn.Sequential(nn.Linear(4, 3), nn.LogSoftmax(dim=1))
x, tags = torch.randn(8, 4), torch.randint(0, 2, (8, 3)).float()
nn.BCELoss()(model(x), tags).backward()  # finds logits-into-bce certain
F.binary_cross_entropy(model(x).exp()[:, 0], tags[:, 0]).backward()
