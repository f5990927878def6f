import math

import torch
import torch.nn as nn
import torch.nn.functional as F


class CTRModel(nn.Module):
    """Logistic model of clicks whose bias begins at the base rate."""

    def __init__(self, n_fields, base_rate):
        super().__init__()
        self.out = nn.Linear(n_fields, 1)
        nn.init.normal_(self.out.weight, std=0.01)
        nn.init.constant_(self.out.bias, math.log(base_rate / (1 - base_rate)))
        self.activation = nn.Sigmoid()

    def forward(self, fields):
        return self.activation(self.out(fields)).squeeze(-1)


def train_step(model, optimizer, fields, clicks):
    optimizer.zero_grad()
    loss = F.binary_cross_entropy(model(fields), clicks)
    loss.backward()
    optimizer.step()
    return loss.item()


if __name__ == "__main__":
    torch.manual_seed(62)
    impressions = torch.randn(128, 6)
    clicked = (torch.rand(128) < 0.3 + 0.2 * (impressions[:, 0] > 0)).float()
    ctr = CTRModel(6, base_rate=0.35)
    sgd = torch.optim.SGD(ctr.parameters(), lr=0.01)
    for k in range(4):
        rows = slice(32 * k, 32 * (k + 1))
        print(k, train_step(ctr, sgd, impressions[rows], clicked[rows]))
