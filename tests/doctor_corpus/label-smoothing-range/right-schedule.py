"""The per cent of the configuration are divided by 100, and the schedule ends at 0."""
import torch
import torch.nn as nn
import torch.nn.functional as F

CONFIG = {"label_smoothing_percent": 10, "steps": 5}

torch.manual_seed(323)
model = nn.Linear(9, 4)
opt = torch.optim.SGD(model.parameters(), lr=0.2)
x = torch.randn(40, 9)
y = x[:, :4].argmax(1)
for step in range(CONFIG["steps"]):
    left = 1 - step / (CONFIG["steps"] - 1)
    smoothing = CONFIG["label_smoothing_percent"] / 100 * left
    loss = F.cross_entropy(model(x), y, label_smoothing=smoothing)
    opt.zero_grad()
    loss.backward()
    opt.step()
    print(f"{smoothing:.3f} {loss.item():.4f}")
