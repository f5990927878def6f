import torch
import torch.nn as nn


class OHEMLoss(nn.Module):
    """Keeps the hardest examples of a batch."""

    def __init__(self, keep=0.5):
        super().__init__()
        self.keep = keep
        self.criterion = nn.CrossEntropyLoss(reduce=False)  # here

    def forward(self, logits, labels):
        losses = self.criterion(logits, labels)  # here
        k = max(1, int(self.keep * len(losses)))
        return losses.topk(k).values.mean()


torch.manual_seed(332)
crops = torch.randn(64, 3, 6, 6)
person = torch.randint(0, 5, (64,))
net = nn.Sequential(nn.Flatten(), nn.Linear(108, 32), nn.PReLU(), nn.Linear(32, 5))
ohem = OHEMLoss()
optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
for i in range(4):
    part = slice(16 * i, 16 * i + 16)
    loss = ohem(net(crops[part]), person[part])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(i, loss.item())
