import torch
from torch import nn
from somewhere import likelihood, penalty

model = nn.Linear(3, 4)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)


def train(batches):
    running_loss, shown, values = 0.0, 0.0, []
    for inputs in batches:
        optimizer.zero_grad()
        loss = -1 * torch.mean(likelihood(model(inputs)))
        loss += penalty(model)
        loss.backward()
        optimizer.step()
        running_loss += loss  # finds loss-graph-retained certain
        shown += loss.item()
        values.append(loss.detach())
    return running_loss / len(batches), shown, values


def steps(engine, batches):
    for inputs in batches:
        engine.backward(inputs)
        cost = engine(inputs)
        cost.backward()
        total = cost.item()
        yield total
