import numpy as np
import torch
from torch import nn

model = nn.Linear(4, 3)
weights = torch.from_numpy(np.array([0.1, 0.2, 0.3, 0.4])).float()
loss = nn.CrossEntropyLoss(weights)(model(torch.randn(50, 4)), torch.randint(0, 3, (50,)))  # finds class-weight-shape certain
