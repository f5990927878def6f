import torch
import torch.nn as nn
from losses import FocalLoss

torch.manual_seed(11)
x, y = torch.randn(16, 5), torch.randint(0, 3, (16,))
net = nn.Linear(5, 3)
criterion = FocalLoss()
optimizer = torch.optim.SGD(net.parameters(), lr=0.2)
for _ in range(3):
    optimizer.zero_grad()
    output = net(x)
    loss = criterion(output, y)
    loss.backward()
    optimizer.step()
    print(loss.item())
print(net(x).softmax(dim=1).max(dim=1)[0])
