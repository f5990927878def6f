import torch
import torch.nn.functional as F
from model import Net

torch.manual_seed(4)
X, Y = torch.randn(24, 5), torch.randint(0, 3, (24,))
net = Net(5, 3, output="prob")
optimizer = torch.optim.SGD(net.parameters(), lr=0.3)
for step in range(3):
    out = net(X)
    loss = F.cross_entropy(out, Y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(loss.item())
with torch.no_grad():
    p = net(X)
    print(p.max(dim=-1).values[:5])
