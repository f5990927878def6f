import torch
import torch.nn.functional as F
from model import Policy

torch.manual_seed(9)
x, y = torch.randn(16, 5), torch.randint(0, 3, (16,))
net = Policy(5, 3)
optimizer = torch.optim.SGD(net.parameters(), lr=0.2)
for _ in range(3):
    optimizer.zero_grad()
    output = net(x)
    loss = F.nll_loss(output, y)
    loss.backward()
    optimizer.step()
    print(loss.item(), output.data.max(1, keepdim=True)[1].eq(y.view(-1, 1)).sum().item())
print(net(x).detach().mean(0))
