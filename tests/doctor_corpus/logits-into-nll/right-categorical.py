"""Categorical normalizes what it is given: its `logits` are log-probabilities."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.distributions import Categorical

torch.manual_seed(29)
policy = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 3))
optimizer = torch.optim.Adam(policy.parameters(), lr=3e-3)
states = torch.randn(48, 4)
expert_actions = (states[:, 0] > 0).long() + (states[:, 1] > 0).long()

for update in range(5):
    dist = Categorical(logits=policy(states))
    imitation = F.nll_loss(dist.logits, expert_actions)
    loss = imitation - 0.01 * dist.entropy().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(f"update {update}: imitation {imitation.item():.4f}")
