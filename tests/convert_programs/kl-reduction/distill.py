import torch
import torch.nn as nn
import torch.nn.functional as F


class DistillLoss(nn.Module):
    def __init__(self, T=2.0):
        super().__init__()
        self.T = T
        self.kl = nn.KLDivLoss()

    def forward(self, student, teacher):
        p = F.log_softmax(student / self.T, dim=1)
        q = F.softmax(teacher / self.T, dim=1)
        return self.kl(p, q) * self.T**2


torch.manual_seed(12)
x, t = torch.randn(16, 5), torch.randn(16, 3)
net = nn.Linear(5, 3)
criterion = DistillLoss()
optimizer = torch.optim.SGD(net.parameters(), lr=0.2)
for _ in range(3):
    optimizer.zero_grad()
    loss = criterion(net(x), t)
    loss.backward()
    optimizer.step()
    print(loss.item())
