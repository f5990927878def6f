import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(64, 48)
        self.fc2 = nn.Linear(48, 10)

    def forward(self, x):
        x = torch.sigmoid(self.fc1(x.flatten(1)))
        return self.fc2(x)


torch.manual_seed(311)
images = torch.rand(80, 8, 8)
labels = torch.randint(10, (80,))
loader = DataLoader(TensorDataset(images, labels), batch_size=16)
net = Net()
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
for image, label in loader:
    loss = criterion(net(image), label)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(f"{loss.item():.5f}")
