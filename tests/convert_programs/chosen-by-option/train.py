import torch
import torch.nn as nn
from model import Classifier

torch.manual_seed(3)
X, Y = torch.randn(24, 5), torch.randint(0, 3, (24,))
model = Classifier(5, 3)
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.3)

for step in range(3):
    y_hat = model(X)
    loss = criterion(y_hat, Y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, loss.item())

proba = model(X)
print(proba.sum(1)[:3], proba[:, 0][:4])
print((proba.argmax(1) == Y).float().mean().item())
