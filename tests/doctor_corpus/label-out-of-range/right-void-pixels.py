"""255 marks void pixels at the borders of objects, as in Pascal VOC, and is ignored."""
import torch
import torch.nn as nn

torch.manual_seed(163)
VOID = 255
net = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 21, 1))
criterion = nn.CrossEntropyLoss(ignore_index=VOID)
optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)

for step in range(4):
    image = torch.rand(2, 3, 12, 12)
    label = torch.randint(0, 21, (2, 12, 12))
    label[:, 5] = VOID
    label[:, :, 8] = VOID
    loss = criterion(net(image), label)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, loss.item())
