import torch
from torch import nn


def negative_log_likelihood(logits, target):
    """Mean negative log-likelihood of the true classes."""
    log_probs = torch.log_softmax(logits, dim=1)
    rows = torch.arange(len(logits))
    return -log_probs[rows, target.squeeze(1)].mean()


torch.manual_seed(112)
returns = torch.randn(96, 10)
direction = (returns[:, -1:] > 0).long()
model = nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 2))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for day in range(6):
    batch = slice(16 * day, 16 * (day + 1))
    loss = negative_log_likelihood(model(returns[batch]), direction[batch])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(day, loss.item())
