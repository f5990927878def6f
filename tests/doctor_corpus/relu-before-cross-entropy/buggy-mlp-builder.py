import torch
from torch import nn


def mlp(sizes):
    layers = []
    for i, (n_in, n_out) in enumerate(zip(sizes, sizes[1:])):
        layers.append(nn.Linear(n_in, n_out))
        layers.append(nn.ReLU())  # here
    return nn.Sequential(*layers)


torch.manual_seed(5)
features = torch.randn(200, 15)
teacher = torch.randn(15, 4)
classes = (features @ teacher).argmax(dim=1)

model = mlp([15, 64, 32, 4])
criterion = nn.CrossEntropyLoss()  # here
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

for epoch in range(5):
    order = torch.randperm(200)[:50]
    optimizer.zero_grad()
    out = model(features[order])
    loss = criterion(out, classes[order])  # here
    loss.backward()
    optimizer.step()
    print(f"epoch {epoch + 1}: {loss.item():.4f}")

with torch.no_grad():
    accuracy = (model(features).argmax(1) == classes).float().mean().item()
print(f"train accuracy {accuracy:.1%}")
