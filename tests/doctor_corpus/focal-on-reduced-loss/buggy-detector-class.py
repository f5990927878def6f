import torch
import torch.nn as nn
import torch.nn.functional as F


class FocalLoss(nn.Module):
    def __init__(self, gamma=2.0, alpha=1.0):
        super().__init__()
        self.gamma = gamma
        self.alpha = alpha
        self.ce = nn.CrossEntropyLoss()  # here

    def forward(self, logits, target):
        ce_loss = self.ce(logits, target)  # here
        pt = torch.exp(-ce_loss)  # here
        focal = self.alpha * (1 - pt) ** self.gamma * ce_loss  # here
        return focal.mean()


class AnchorHead(nn.Module):
    def __init__(self, channels=16, n_classes=4):
        super().__init__()
        self.hidden = nn.Linear(channels, 32)
        self.cls = nn.Linear(32, n_classes)

    def forward(self, anchors):
        return self.cls(F.relu(self.hidden(anchors)))


torch.manual_seed(221)
anchors = torch.randn(200, 16)
classes = torch.where(torch.rand(200) < 0.85, 0, torch.randint(1, 4, (200,)))
head = AnchorHead()
focal_loss = FocalLoss()
optimizer = torch.optim.Adam(head.parameters(), lr=3e-3)
for a, c in zip(anchors.split(40), classes.split(40)):
    loss = focal_loss(head(a), c)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(loss.item())
