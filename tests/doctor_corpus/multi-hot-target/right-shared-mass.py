"""Several hashtags share one unit of probability: rows are divided by their sum."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(143)
HASHTAGS = 12
posts = torch.randn(64, 16)
used = (posts[:, :HASHTAGS] > 0.6).float()
used[torch.arange(64), torch.randint(HASHTAGS, (64,))] = 1.0

model = nn.Linear(16, HASHTAGS)
optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
for step in range(5):
    rows = torch.randperm(64)[:16]
    target = used[rows] / used[rows].sum(dim=1, keepdim=True)
    loss = F.cross_entropy(model(posts[rows]), target)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, loss.item())
