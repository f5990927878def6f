import torch
import torch.nn as nn
import torch.nn.functional as F

from model import build

torch.manual_seed(10)
x, y = torch.randn(16, 5), torch.randint(0, 3, (16,))
net = build(5, 3)
loss_fn = nn.MSELoss()
optimizer = torch.optim.SGD(net.parameters(), lr=0.2)
for _ in range(3):
    optimizer.zero_grad()
    output = net(x)
    target = F.one_hot(y, num_classes=3).float()
    loss = loss_fn(output, target)
    loss.backward()
    optimizer.step()
    print(loss.item(), (output.argmax(dim=1) == target.argmax(dim=1)).sum().item())
print(net(x).max(dim=1)[0])
