"""Without a graph only where nothing trains: the frozen backbone, the logged values, the evaluation."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(293)
backbone = nn.Sequential(nn.Linear(10, 32), nn.ReLU()).requires_grad_(False)
head = nn.Linear(32, 4)
opt = torch.optim.Adam(head.parameters(), lr=0.01)
x = torch.randn(80, 10)
y = x[:, :4].argmax(1)


@torch.no_grad()
def evaluate(inputs, labels):
    return F.cross_entropy(head(backbone(inputs)), labels).item()


history = []
for batch, labels in zip(x[:60].split(15), y[:60].split(15)):
    with torch.no_grad():
        features = backbone(batch)
    loss = F.cross_entropy(head(features), labels)
    opt.zero_grad()
    loss.backward()
    opt.step()
    history.append(loss.detach())
    print("train", history[-1].item(), "held out", evaluate(x[60:], y[60:]))
print("mean", torch.stack(history).mean().item())
