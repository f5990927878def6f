import torch
import torch.nn.functional as F
from torch import nn


class Classifier(nn.Module):
    def __init__(self, classes=4):
        super().__init__()
        self.fc = nn.Linear(3, classes)

    def forward(self, x):
        z = self.fc(x)
        return {"logits": z, "probs": z.softmax(-1)}


model = Classifier()
outputs = model(torch.randn(2, 3))
loss = F.cross_entropy(outputs["logits"], torch.randint(0, 4, (2,)))
