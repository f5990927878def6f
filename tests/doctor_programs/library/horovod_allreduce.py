import horovod.torch as hvd
import torch
import torch.nn.functional as F


class Mean:
    def __init__(self, name):
        self.name, self.sum, self.count = name, torch.tensor(0.0), 0

    def update(self, value):
        self.sum += hvd.allreduce(value.cpu(), name=self.name)  # finds loss-graph-retained certain
        self.count += 1


class MeanOfNumbers(Mean):
    def update(self, value):
        self.sum += hvd.allreduce(value.detach().cpu(), name=self.name)
        self.count += 1


def train(model, loader, optimizer):
    mean, numbers = Mean("loss"), MeanOfNumbers("loss")
    for x, y in loader:
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        mean.update(loss)
        numbers.update(loss)
