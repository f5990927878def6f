import torch
import torch.nn.functional as F
from torch import nn

linear = nn.Linear(4, 3)
y = torch.randint(0, 3, (8,))
loss = nn.MSELoss()(linear(torch.randn(8, 4)), F.one_hot(y, 3).float())  # finds mse-on-one-hot certain
loss.backward()

y = torch.randint(0, 3, (8,))
loss = nn.MSELoss()(linear(torch.randn(8, 4)).softmax(1), torch.eye(3)[y])  # finds mse-on-one-hot certain
loss.backward()
