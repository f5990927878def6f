import torch
import torch.nn.functional as F
from torch import nn

model = nn.Linear(4, 2)
x = torch.randn(8, 4)
spam = (x[:, 0] > 0).float()
loss = F.cross_entropy(model(x), spam)  # finds float-class-index certain
loss = F.cross_entropy(model(x), spam.long())
loss = F.cross_entropy(model(x), (x[:, 0] > 0).long())
loss = F.binary_cross_entropy_with_logits(model(x)[:, 0], spam)

net = nn.Conv2d(3, 2, 1)
image = torch.rand(4, 3, 8, 8)
loss = F.cross_entropy(net(image), (image[:, 0] > 0.5).double())  # finds float-class-index certain
loss = F.cross_entropy(net(image), (image[:, 0] > 0.5).long())
