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
        return torch.softmax(self.fc2(x), dim=1)  # here


torch.manual_seed(311)
images = torch.rand(80, 8, 8)
labels = torch.randint(10, (80,))
loader = DataLoader(TensorDataset(images, labels), batch_size=16)
net = Net()
criterion = nn.MSELoss()  # here
optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
for image, label in loader:
    target = F.one_hot(label, 10).float()  # here
    loss = criterion(net(image), target)  # here
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(f"{loss.item():.5f}")
