from torch import nn

model = nn.Sequential(nn.Linear(4, 3), nn.Softmax(-1))
criterion = nn.CrossEntropyLoss()

for x, y in loader:
    optimizer.zero_grad()
    loss = criterion(model(x), y)  # finds softmax-before-cross-entropy certain
    loss.backward()
    optimizer.step()
