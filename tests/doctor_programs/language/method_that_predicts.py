import torch
from torch import nn


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.activation = nn.Softmax(dim=1)

    def forward(self, x):
        return self.linear(x)

    def predict(self, x):
        return self.activation(self(x))


model = Classifier()
criterion = nn.CrossEntropyLoss()
for x, y in loader:
    loss = criterion(model(x), y)
    loss.backward()
print(model.predict(torch.randn(2, 4)))
