"""All batches are of one size, for the last one is dropped; the validation weighs by rows."""
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(234)
data = TensorDataset(torch.randn(70, 5), torch.randint(0, 3, (70,)))
train_loader = DataLoader(data, batch_size=16, shuffle=True, drop_last=True)
val_loader = DataLoader(data, batch_size=32)
model = nn.Linear(5, 3)
criterion = nn.CrossEntropyLoss()
opt = torch.optim.SGD(model.parameters(), lr=0.1)

epoch_loss = 0.0
for x, y in train_loader:
    loss = criterion(model(x), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
    epoch_loss += loss.item()
print("train", epoch_loss / len(train_loader))

total, rows = 0.0, 0
with torch.no_grad():
    for x, y in val_loader:
        total += criterion(model(x), y).item() * y.size(0)
        rows += y.size(0)
print("validation", total / rows)
