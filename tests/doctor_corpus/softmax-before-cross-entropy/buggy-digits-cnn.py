"""Small CNN for 8x8 digits."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(7)


class DigitNet(nn.Module):
    def __init__(self, n_classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3, padding=1)
        self.conv2 = nn.Conv2d(8, 16, 3, padding=1)
        self.fc = nn.Linear(16 * 2 * 2, n_classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = self.fc(x.flatten(1))
        return F.softmax(x, dim=1)  # here


images = torch.randn(160, 1, 8, 8)
digits = torch.randint(0, 10, (160,))
loader = DataLoader(TensorDataset(images, digits), batch_size=32, shuffle=True)

net = DigitNet()
criterion = nn.CrossEntropyLoss()  # here
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)

for step, (xb, yb) in enumerate(loader):
    optimizer.zero_grad()
    loss = criterion(net(xb), yb)  # here
    loss.backward()
    optimizer.step()
    print(f"step {step}: loss {loss.item():.4f}")
