import torch


def train(model, criterion, optimizer, loader, history):
    running, shown = 0.0, 0.0
    for x, y in loader:
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        running += loss  # finds loss-graph-retained certain
        shown += loss.item()
    return running / len(loader), shown


def train_at_once(model, losses, optimizer, x):
    total_loss = 0
    for criterion in losses:
        total_loss = total_loss + criterion(model(x))
    total_loss.backward()
    optimizer.step()


def train_engine(net, loader):
    for x, y in loader:
        net.backward(net(x), y)
    return net(torch.zeros(1))


def train_by_hand(model, optimizer, loader):
    running = 0.0
    weight = torch.nn.Parameter(torch.ones(3))
    for x in loader:
        loss = -torch.mean(model(x) * weight)
        loss.backward()
        optimizer.step()
        running += loss  # finds loss-graph-retained certain
    return running
