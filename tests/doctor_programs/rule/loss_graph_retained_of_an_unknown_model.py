import torch.nn.functional as F


def train(model, loader, criterion, optimizer):
    running = 0.0
    for x, y in loader:
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        running += loss  # finds loss-graph-retained certain
    return running
