import torch
import torch.nn as nn
import torch.nn.functional as F


class GatedClassifier(nn.Module):
    """The gate lies between 0 and 1; the scores are free."""

    def __init__(self, features, classes):
        super().__init__()
        self.value = nn.Linear(features, 24)
        self.gate = nn.Linear(features, 24)
        self.head = nn.Linear(24, classes)
        self.temperature = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        h = self.value(x) * torch.sigmoid(self.gate(x))
        return self.head(h) / (0.5 + torch.sigmoid(self.temperature))


torch.manual_seed(21)
x = torch.randn(128, 12)
y = (x @ torch.randn(12, 5)).argmax(1)
net = GatedClassifier(12, 5)
optim = torch.optim.Adam(net.parameters(), lr=0.02)
for i in range(6):
    batch = torch.randint(0, 128, (32,))
    loss = F.cross_entropy(net(x[batch]), y[batch])
    optim.zero_grad()
    loss.backward()
    optim.step()
    print(i, f"{loss.item():.3f}")
