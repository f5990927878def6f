import torch
import torch.nn as nn
import torch.nn.functional as F


def to_categorical(y, num_classes):
    return torch.eye(num_classes)[y]


torch.manual_seed(131)
x_train = torch.rand(64, 28)
labels = torch.randint(0, 10, (64,))
y_train = labels

model = nn.Sequential(nn.Linear(28, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 10))
loss_fn = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters())

for epoch in range(2):
    for i in range(0, len(x_train), 32):
        batch_x, batch_y = x_train[i:i + 32], y_train[i:i + 32]
        loss = loss_fn(model(batch_x), batch_y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"epoch {epoch} loss {loss.item():.4f}")
