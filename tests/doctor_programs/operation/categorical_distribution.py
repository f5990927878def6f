import torch
import torch.nn.functional as F
from torch import nn

policy = nn.Linear(4, 2)
states = torch.randn(5, 4)
probabilities = F.softmax(policy(states), -1)
distribution = torch.distributions.Categorical(probabilities)
actions = distribution.sample()
loss = -(distribution.log_prob(actions) * torch.randn(5)).mean()
loss.backward()
