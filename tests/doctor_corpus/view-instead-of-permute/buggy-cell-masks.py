import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

N_CLASSES = 3


def build():
    return nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1),
        nn.BatchNorm2d(12),
        nn.ReLU(inplace=True),
        nn.Conv2d(12, N_CLASSES, 3, padding=1),
    )


torch.manual_seed(91)
cells = torch.randn(32, 1, 12, 12)
masks = torch.bucketize(cells.squeeze(1), torch.tensor([-0.4, 0.4]))
loader = DataLoader(TensorDataset(cells, masks), batch_size=8)

net = build()
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
for i, (image, mask) in enumerate(loader):
    output = net(image)
    output = output.view(-1, N_CLASSES)  # here
    mask = mask.view(-1)
    loss = criterion(output, mask)  # here
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(f"batch {i}: {loss.item():.4f}")
