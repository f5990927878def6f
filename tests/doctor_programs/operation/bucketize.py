import torch
import torch.nn.functional as F
from torch import nn

y = torch.bucketize(torch.rand(8), torch.tensor([0.2, 0.5]))
F.binary_cross_entropy_with_logits(nn.Linear(4, 1)(torch.randn(8, 4)).squeeze(1), y.float())  # finds class-index-into-bce certain
