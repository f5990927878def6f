import torch
import torch.nn.functional as F
from torch import nn

model, x = nn.Linear(4, 4), torch.randn(8, 4)
F.l1_loss(x, model(x)).backward()
nn.SmoothL1Loss()(x, model(x)).backward()
nn.HuberLoss(delta=0.5)(model(x), x).backward()
nn.L1Loss()(model(x).detach(), x).backward()  # finds detached-loss certain
