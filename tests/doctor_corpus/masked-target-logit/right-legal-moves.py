"""-inf masks only classes which cannot be the target; the attention's -inf mask leaves a key for each query."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(343)
T, CLASSES = 6, 7
emb = nn.Linear(4, 16)
out = nn.Linear(16, CLASSES)
opt = torch.optim.Adam([*emb.parameters(), *out.parameters()], lr=0.01)
causal = torch.full((T, T), float("-inf")).triu(1)
for step in range(5):
    x = torch.randn(10, T, 4)
    h = emb(x)
    attention = F.softmax(h @ h.transpose(1, 2) / 4 + causal, dim=-1)
    logits = out(attention @ h)
    allowed = torch.rand(10, T, CLASSES) < 0.6
    target = torch.randint(0, CLASSES, (10, T))
    allowed.scatter_(2, target.unsqueeze(2), True)
    logits = logits.masked_fill(~allowed, float("-inf"))
    loss = F.cross_entropy(logits.view(-1, CLASSES), target.view(-1))
    opt.zero_grad()
    loss.backward()
    opt.step()
    print(step, loss.item())
