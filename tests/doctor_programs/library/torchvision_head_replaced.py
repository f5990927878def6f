from torch import nn
from torchvision import models

net = models.resnet18()
net.fc = nn.Sequential(nn.Linear(512, 10), nn.Softmax(dim=1))
criterion = nn.CrossEntropyLoss()
for x, y in loader:
    out = net(x)
    loss = criterion(out, y)  # finds softmax-before-cross-entropy certain
    loss.backward()
