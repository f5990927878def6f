import torch
import torch.nn as nn
from model import AttentionNet


def train(model, bags, labels, optimizer):
    criterion = nn.CrossEntropyLoss()
    for epoch in range(3):
        optimizer.zero_grad()
        y_prob, attention = model(bags)
        loss = criterion(y_prob, labels)
        loss.backward()
        optimizer.step()
        print(loss.item(), attention.max().item())


def evaluate(model, bags, labels):
    with torch.no_grad():
        probs, _ = model(bags)
    y_hat = torch.argmax(probs, dim=1)
    print((y_hat == labels).sum().item(), probs[:, 1].tolist())


torch.manual_seed(5)
bags, labels = torch.randn(10, 4, 6), torch.randint(0, 2, (10,))
model = AttentionNet(6, 2)
train(model, bags, labels, torch.optim.Adam(model.parameters(), lr=0.05))
evaluate(model, bags, labels)
print(model(bags)[0].shape, model(bags)[1][0, 0].item())
