import torch
import torch.nn.functional as F
from torch import nn

model = nn.Linear(4, 3)
x, y = torch.randn(8, 4), torch.randint(0, 3, (8,))


def fit():
    optimizer = torch.optim.LBFGS(model.parameters())

    def closure():
        loss = F.cross_entropy(y, model(x))  # finds swapped-arguments certain
        loss.backward()
        return loss

    optimizer.step(closure)


fit()
