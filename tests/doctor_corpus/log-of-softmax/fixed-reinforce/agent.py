import torch
from torch import nn


class Agent(nn.Module):
    def __init__(self, state_dim, n_actions):
        super().__init__()
        self.policy = nn.Sequential(
            nn.Linear(state_dim, 16),
            nn.Tanh(),
            nn.Linear(16, n_actions),
            nn.LogSoftmax(dim=-1),
        )

    def act(self, state):
        log_probs = self.policy(state)
        action = torch.multinomial(log_probs.exp(), 1)
        log_prob = log_probs.gather(1, action).squeeze(1)
        return action.item(), log_prob
