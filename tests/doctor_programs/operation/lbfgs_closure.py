import torch
import torch.nn.functional as F
from torch import nn

model = nn.Sequential(nn.Linear(4, 3), nn.Softmax(1))
optimizer = torch.optim.LBFGS(model.parameters())
x, y = torch.randn(2, 4), torch.randint(0, 3, (2,))


def closure():
    optimizer.zero_grad()
    loss = F.cross_entropy(model(x), y)  # finds softmax-before-cross-entropy certain
    loss.backward()
    return loss


optimizer.step(closure)
