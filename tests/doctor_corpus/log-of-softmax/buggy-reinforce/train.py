import torch
from agent import Agent

GOAL = 3


def play(agent, length=6):
    position, log_probs, rewards = 0, [], []
    for _ in range(length):
        state = torch.tensor([[position / GOAL, 1.0]])
        action, log_prob = agent.act(state)
        position += 1 if action == 1 else -1
        rewards.append(1.0 if position == GOAL else -0.05)
        log_probs.append(log_prob)
    return torch.cat(log_probs), torch.tensor(rewards)


torch.manual_seed(6)
agent = Agent(state_dim=2, n_actions=2)
optimizer = torch.optim.Adam(agent.parameters(), lr=5e-3)
for game in range(5):
    log_probs, rewards = play(agent)
    returns = rewards.flip(0).cumsum(0).flip(0)
    objective = -(log_probs * (returns - returns.mean())).sum()
    optimizer.zero_grad()
    objective.backward()
    optimizer.step()
    print(f"game {game}: return {rewards.sum().item():.2f}")
