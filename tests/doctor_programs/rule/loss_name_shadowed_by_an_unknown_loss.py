def train(model, loader, loss, optimizer):
    for x, y in loader:
        loss = loss(model(x), y)  # finds loss-name-shadowed certain
        loss.backward()
        optimizer.step()
