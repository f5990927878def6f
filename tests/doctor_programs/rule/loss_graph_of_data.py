import torch
from torch import nn

model = nn.Sequential(nn.Linear(4, 3), nn.LogSoftmax(dim=1))
criterion = nn.NLLLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
history, totals = [], []
for epoch in range(3):
    total = torch.Tensor([0])
    for step in range(5):
        optimizer.zero_grad()
        loss = criterion(model(torch.randn(8, 4)), torch.randint(0, 3, (8,)))
        loss.backward()
        optimizer.step()
        total += loss.data
    totals.append(total)


def train(network, loader, meter):
    running = meter.start
    for x, y in loader:
        loss = criterion(network(x), y)
        loss.backward()
        optimizer.step()
        running += loss.detach()
        meter.total += loss.data
        history.append(loss)  # finds loss-graph-retained certain
