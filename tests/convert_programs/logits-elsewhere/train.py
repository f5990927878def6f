"""One criterion, of logits in training and of probabilities in validation, where they are measured as well."""

import torch
from torch import nn

torch.manual_seed(0)
x, y = torch.randn(40, 6), torch.randint(0, 3, (40,))


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(6, 3)
        self.criterion = nn.CrossEntropyLoss()

    def forward(self, x):
        return self.linear(x)

    def training_step(self, x, y):
        scores = self(x)
        return self.criterion(scores, y)

    def validation_step(self, x, y):
        scores = self(x)
        scores = torch.softmax(scores, dim=1)
        loss = self.criterion(scores, y)
        confidence = scores.max(1).values.mean()
        return loss, confidence


model = Classifier()
optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
for step in range(3):
    optimizer.zero_grad()
    loss = model.training_step(x, y)
    loss.backward()
    optimizer.step()
    value, confidence = model.validation_step(x, y)
    print(f"{loss.item():.5f} {value.item():.5f} {confidence.item():.5f}")
