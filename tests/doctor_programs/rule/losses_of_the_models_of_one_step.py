"""Losses of several models, or of the parts of a batch, that are added up within one step: none is kept for the next."""

import torch.nn.functional as F


def several_models(models, optimizers, loader):
    batches = iter(loader)
    step = 0
    while step < 100:
        x, y = next(batches)
        total = 0
        for i in range(len(models)):
            models[i].zero_grad()
            loss = F.cross_entropy(models[i](x), y)
            loss.backward()
            optimizers[i].step()
            total += loss
        print(total.item())
        step += 1


def parts_of_a_batch(model, optimizer, loader):
    for x, y in loader:
        optimizer.zero_grad()
        total = 0
        for part, labels in zip(x.chunk(4), y.chunk(4)):
            loss = F.cross_entropy(model(part), labels)
            loss.backward()
            total += loss
        optimizer.step()
        print(total.item())


def epochs(model, optimizer, loader):
    for epoch in range(10):
        total = 0
        for x, y in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            total += loss  # finds loss-graph-retained certain
        print(epoch, total)


def never_set_to_zero(models, optimizers, loader):
    total = 0
    for x, y in loader:
        for model, optimizer in zip(models, optimizers):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            total += loss  # finds loss-graph-retained certain
    return total
