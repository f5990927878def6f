"""Few-shot classification: the logits are negative squared distances, clamped against rounding."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(13)
WAYS, SHOTS, QUERIES = 5, 4, 6

encoder = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 16))
optimizer = torch.optim.Adam(encoder.parameters(), lr=1e-3)
centres = torch.randn(WAYS, 20) * 2


def episode():
    support = centres[:, None] + torch.randn(WAYS, SHOTS, 20)
    query = centres[:, None] + torch.randn(WAYS, QUERIES, 20)
    labels = torch.arange(WAYS).repeat_interleave(QUERIES)
    return support, query.reshape(-1, 20), labels


def squared_distances(a, b):
    d = (a * a).sum(1, keepdim=True) + (b * b).sum(1) - 2 * a @ b.T
    return F.relu(d)


for step in range(5):
    support, query, labels = episode()
    prototypes = encoder(support).mean(dim=1)
    logits = -squared_distances(encoder(query), prototypes)
    loss = F.cross_entropy(logits, labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(f"episode {step}: {loss.item():.4f}")
