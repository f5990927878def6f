import torch
from torch import nn


class Agent(nn.Module):
    def __init__(self, state_dim, n_actions):
        super().__init__()
        self.policy = nn.Sequential(
            nn.Linear(state_dim, 16),
            nn.Tanh(),
            nn.Linear(16, n_actions),
            nn.Softmax(dim=-1),  # here
        )

    def act(self, state):
        probs = self.policy(state)
        action = torch.multinomial(probs, 1)
        log_prob = probs.log().gather(1, action).squeeze(1)  # here
        return action.item(), log_prob
