import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(291)


class TwoTask(nn.Module):
    def __init__(self):
        super().__init__()
        self.shared = nn.Sequential(nn.Linear(12, 24), nn.ReLU())
        self.kind = nn.Linear(24, 5)
        self.size = nn.Linear(24, 1)

    def forward(self, x):
        h = self.shared(x)
        return self.kind(h), self.size(h).squeeze(1)


x = torch.randn(60, 12)
kind = x[:, :5].argmax(dim=1)
size = x.norm(dim=1)
model = TwoTask()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

for epoch in range(5):
    kind_logits, predicted_size = model(x)
    kind_loss = F.cross_entropy(kind_logits, kind)
    size_loss = F.mse_loss(predicted_size, size)
    loss = torch.stack([kind_loss, 0.1 * size_loss]).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(epoch, loss.item())
