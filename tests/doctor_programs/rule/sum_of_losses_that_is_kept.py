import torch
import torch.nn.functional as F

model = torch.nn.Linear(3, 4)
optimizer = torch.optim.SGD(model.parameters(), 0.1)
history = []
for _ in range(3):
    total = 0
    for x, y in batches:
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss  # finds loss-graph-retained certain
    history.append(total)  # finds loss-graph-retained certain
