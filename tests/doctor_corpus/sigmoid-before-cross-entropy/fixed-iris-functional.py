import numpy as np
import torch
import torch.nn.functional as F

rng = np.random.default_rng(0)
species = rng.integers(0, 3, size=90)
measurements = rng.normal(size=(90, 4)) + species[:, None]

X = torch.tensor(measurements, dtype=torch.float32)
y = torch.tensor(species)

torch.manual_seed(0)
W1 = (torch.randn(4, 16) * 0.5).requires_grad_()
b1 = torch.zeros(16, requires_grad=True)
W2 = (torch.randn(16, 3) * 0.25).requires_grad_()
b2 = torch.zeros(3, requires_grad=True)
params = [W1, b1, W2, b2]
opt = torch.optim.SGD(params, lr=0.2)


def network(inputs):
    hidden = torch.tanh(inputs @ W1 + b1)
    return hidden @ W2 + b2


for it in range(6):
    scores = network(X)
    loss = F.cross_entropy(scores, y)
    opt.zero_grad()
    loss.backward()
    opt.step()
    acc = (scores.argmax(dim=1) == y).float().mean()
    print(f"{it}: loss={loss.item():.4f} acc={acc.item():.3f}")
