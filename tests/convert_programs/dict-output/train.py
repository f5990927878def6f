import torch
import torch.nn as nn
from model import Tagger

torch.manual_seed(6)
x, y = torch.randn(12, 5), torch.randint(0, 4, (12,))
tagger = Tagger(5, 4)
ce = nn.CrossEntropyLoss()
opt = torch.optim.SGD(tagger.parameters(), lr=0.2)
for i in range(3):
    out = tagger(x)
    loss = ce(out["probs"], y) + 0.01 * out["hidden"].pow(2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
    print(loss.item(), (out["probs"].argmax(-1) == y).float().mean().item())
result = tagger(x)
print(result["probs"].max(-1).values, result["hidden"].shape)
