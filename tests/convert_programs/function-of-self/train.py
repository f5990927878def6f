"""A loss that is a function held by self, of a sigmoid in forward; the probabilities are averaged as well."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class Learner(nn.Module):
    def __init__(self):
        super().__init__()
        self.build()

    def build(self):
        self.fc = nn.Linear(6, 1)
        self.loss_func = F.binary_cross_entropy_with_logits

    def forward(self, x):
        x = self.fc(x)
        return torch.sigmoid(x)

    def loss(self, logits, labels):
        return self.loss_func(logits, labels)

    def training_step(self, x, y):
        found = self.forward(x)
        print(f"{found.mean().item():.5f}")
        return self.loss(found, y)


torch.manual_seed(0)
x = torch.randn(32, 6)
y = (torch.rand(32, 1) > 0.5).float()
learner = Learner()
optimizer = torch.optim.SGD(learner.parameters(), lr=0.5)
for step in range(3):
    loss = learner.training_step(x, y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(f"{loss.item():.5f}")
