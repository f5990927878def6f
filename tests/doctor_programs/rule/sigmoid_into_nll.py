import torch
import torch.nn as nn
import torch.nn.functional as F

model = nn.Linear(4, 3)
x, y = torch.randn(8, 4), torch.randint(0, 3, (8,))
F.nll_loss(model(x).sigmoid(), y).backward()  # finds logits-into-nll certain
F.nll_loss(F.logsigmoid(model(x)), y).backward()
