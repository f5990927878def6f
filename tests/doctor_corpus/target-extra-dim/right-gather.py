"""gather wants the extra axis, and so does a binary loss on (N, 1)."""
import torch
from torch import nn
import torch.nn.functional as F

torch.manual_seed(113)
trunk = nn.Sequential(nn.Linear(6, 16), nn.ReLU())
kind_head = nn.Linear(16, 4)
alert_head = nn.Linear(16, 1)
params = [*trunk.parameters(), *kind_head.parameters(), *alert_head.parameters()]
opt = torch.optim.SGD(params, lr=0.1)

events = torch.randn(50, 6)
kind = events[:, :4].argmax(1, keepdim=True)
alert = (events[:, 4:5] > 0).float()
for step in range(5):
    h = trunk(events)
    log_probs = F.log_softmax(kind_head(h), dim=1)
    kind_loss = -log_probs.gather(1, kind).squeeze(1).mean()
    alert_loss = F.binary_cross_entropy_with_logits(alert_head(h), alert)
    loss = kind_loss + alert_loss
    opt.zero_grad()
    loss.backward()
    opt.step()
    print(step, kind_loss.item(), alert_loss.item())
