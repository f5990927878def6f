from torch import nn

linear = nn.Linear(4, 3)
criterion = nn.CrossEntropyLoss()


def train(loader):
    for x, y in loader:
        loss = criterion(y, linear(x))  # finds swapped-arguments likely
        loss.backward()
