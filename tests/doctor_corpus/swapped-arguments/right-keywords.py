"""The target is written first, but by keyword, and a wrapper of its own takes the target first."""
import torch
import torch.nn as nn
import torch.nn.functional as F


def loss_function(y_true, y_pred):
    return F.cross_entropy(target=y_true, input=y_pred, label_smoothing=0.05)


torch.manual_seed(183)
leaves = torch.randn(75, 10)
species = leaves[:, :5].argmax(1)
model = nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 5))
opt = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(5):
    loss = loss_function(species, model(leaves))
    opt.zero_grad()
    loss.backward()
    opt.step()
    print(epoch, loss.item())
