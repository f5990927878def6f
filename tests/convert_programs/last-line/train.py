import os
import tempfile

import torch
import torch.nn as nn
import torch.optim as optim

from data import loader
from evaluate import evaluate, predict
from model import LeNet

device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")


def train(model, train_loader, criterion, optimizer):
    model.train()
    running_loss = 0.0
    correct = 0
    total = 0
    for i, (inputs, labels) in enumerate(train_loader):
        inputs, labels = inputs.to(device), labels.to(device)
        optimizer.zero_grad()
        outputs = model(inputs)
        loss = criterion(outputs, labels)
        loss.backward()
        optimizer.step()
        running_loss += loss.item()
        _, predicted = torch.max(outputs.data, 1)
        total += labels.size(0)
        correct += (predicted == labels).sum().item()
    return running_loss / len(train_loader), correct / total


def main():
    torch.manual_seed(0)
    model = LeNet(num_classes=4)
    model = model.to(device)
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for epoch in range(2):
        loss, acc = train(model, loader(epoch), criterion, optimizer)
        print(f"epoch {epoch}: loss {loss:.5f} acc {acc:.3f}")
        val_loss, val_acc = evaluate(model, loader(9), criterion)
        print("val", val_loss, val_acc)
    path = os.path.join(tempfile.gettempdir(), "convert_programs_lenet.pth")
    torch.save(model.state_dict(), path)
    best = LeNet(num_classes=4)
    best.load_state_dict(torch.load(path))
    best.eval()
    names, scores = predict(best, loader(9))
    print(names, scores)


if __name__ == "__main__":
    main()
