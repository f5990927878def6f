import torch
from torch import nn


def train(net, sampler, criterion, optimizer, steps, report=3):
    running_loss = 0.0
    for step in range(1, steps + 1):
        points, cluster = sampler(32)
        optimizer.zero_grad()
        loss = criterion(net(points), cluster)
        loss.backward()
        optimizer.step()
        running_loss += loss.item()
        if step % report == 0:
            print(f"after {step} steps: {running_loss / step:.4f}")


class Sampler:
    def __init__(self, k, dim):
        self.centres = torch.randn(k, dim) * 2

    def __call__(self, n):
        cluster = torch.randint(len(self.centres), (n,))
        return self.centres[cluster] + torch.randn(n, self.centres.shape[1]), cluster


torch.manual_seed(302)
net = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 6))
train(net, Sampler(6, 4), nn.CrossEntropyLoss(), torch.optim.SGD(net.parameters(), lr=0.1), steps=6)
