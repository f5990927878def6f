import numpy as np
import torch
import torch.nn as nn
from model import Discriminator


def binary_acc(y_pred, y_test):
    y_pred_tag = torch.round(y_pred)
    return (y_pred_tag == y_test).sum().float() / y_test.shape[0]


torch.manual_seed(7)
X, t = torch.randn(20, 6), torch.randint(0, 2, (20,)).float()
model = Discriminator(6)
criterion = nn.BCELoss()
optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
for epoch in range(3):
    output = model(X)
    loss = criterion(output.squeeze(1), t)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    acc = binary_acc(output, t.unsqueeze(1))
    print(f"{loss.item():.5f} {acc.item():.3f}")

with torch.no_grad():
    probs = model(X).squeeze(1)
    preds = (probs > 0.5).long()
    hard = np.where(model(X).numpy() >= 0.5, 1, 0)
print(probs[:4], preds.tolist(), hard.sum())
