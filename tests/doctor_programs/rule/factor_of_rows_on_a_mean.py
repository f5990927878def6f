import torch
import torch.nn.functional as F
from torch import nn

net, spread = nn.Linear(4, 3), nn.Parameter(torch.zeros(1))
for _ in range(9):
    x, y = torch.randn(8, 4), torch.randint(0, 3, (8,))
    scores = net(x)
    true = scores.softmax(1)[torch.arange(8), y]
    ((1 - true) ** 2 * F.cross_entropy(scores, y)).mean().backward()  # finds focal-on-reduced-loss certain
    hot = F.one_hot(y, 3).float()
    hardness = torch.exp(-2 * hot * net(x))
    (hardness * F.binary_cross_entropy_with_logits(net(x), hot)).sum().backward()  # finds focal-on-reduced-loss certain

    scores = net(x)
    true = scores.softmax(1)[torch.arange(8), y]
    ((1 - true) ** 2 * F.cross_entropy(scores, y, reduction="none")).mean().backward()
    (torch.exp(-spread) * F.cross_entropy(net(x), y) + spread).mean().backward()
