import torch.nn as nn
import torch.nn.functional as F


class AttentionNet(nn.Module):
    def __init__(self, dim, n_classes):
        super().__init__()
        self.attention = nn.Linear(dim, 1)
        self.classifier = nn.Linear(dim, n_classes)

    def forward(self, bag):
        a = F.softmax(self.attention(bag), dim=1)
        m = (a * bag).sum(1)
        logits = self.classifier(m)
        y_prob = F.softmax(logits, dim=1)
        return y_prob, a
