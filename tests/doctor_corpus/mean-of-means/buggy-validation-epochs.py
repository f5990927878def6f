# source only
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset, random_split

torch.manual_seed(231)
signals = torch.randn(110, 12)
fault = (signals[:, 0] + signals[:, 1] > 0).long()
train_set, val_set = random_split(TensorDataset(signals, fault), [64, 46])
train_loader = DataLoader(train_set, batch_size=16, shuffle=True)
val_loader = DataLoader(val_set, batch_size=20)


def validate(model, criterion):
    model.eval()
    running = 0.0
    with torch.no_grad():
        for x, y in val_loader:
            running += criterion(model(x), y).item()  # here
    model.train()
    return running / len(val_loader)  # here


model = nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 2))
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
for x, y in train_loader:
    optimizer.zero_grad()
    loss = criterion(model(x), y)
    loss.backward()
    optimizer.step()
    print(f"train {loss.item():.4f}")
print(f"validation {validate(model, criterion):.4f}")
