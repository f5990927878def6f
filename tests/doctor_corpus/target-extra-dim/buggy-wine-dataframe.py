import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class WineDataset(Dataset):
    def __init__(self, n):
        g = torch.Generator().manual_seed(5)
        self.x = torch.randn(n, 13, generator=g)
        grade = self.x[:, :3].argmax(dim=1)
        self.y = grade.reshape(-1, 1)

    def __len__(self):
        return self.x.shape[0]

    def __getitem__(self, index):
        return self.x[index], self.y[index]


torch.manual_seed(5)
loader = DataLoader(WineDataset(64), batch_size=16, shuffle=True)
model = nn.Sequential(nn.Linear(13, 20), nn.Tanh(), nn.Linear(20, 3))
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)

for batch_idx, (wine, grade) in enumerate(loader):
    optimizer.zero_grad()
    output = model(wine)
    loss = criterion(output, grade)  # here
    loss.backward()
    optimizer.step()
    print("batch", batch_idx, "loss", loss.item())
