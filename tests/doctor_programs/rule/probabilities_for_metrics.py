import torch
import torch.nn.functional as F
from torch import nn

linear = nn.Linear(3, 4)
x, y = torch.randn(8, 3), torch.randint(0, 4, (8,))
z = linear(x)
p = z.softmax(1)
accuracy = (p.argmax(1) == y).float().mean()
loss = F.cross_entropy(z, y)
loss.backward()
confidence = p.max(1).values.mean().item()
