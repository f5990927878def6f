"""Labels are padded with -100, which cross_entropy ignores by default; inputs with 0."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils.rnn import pad_sequence

torch.manual_seed(193)
lengths = [3, 9, 5, 7, 4, 8]
frames = [torch.randn(n, 6) for n in lengths]
stages = [f[:, :4].argmax(1) for f in frames]
x = pad_sequence(frames, batch_first=True)
y = pad_sequence(stages, batch_first=True, padding_value=-100)

rnn = nn.GRU(6, 16, batch_first=True)
out = nn.Linear(16, 4)
opt = torch.optim.Adam([*rnn.parameters(), *out.parameters()], lr=0.01)
for step in range(5):
    logits = out(rnn(x)[0])
    loss = F.cross_entropy(logits.transpose(1, 2), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
    correct = (logits.argmax(-1) == y)[y != -100].float().mean()
    print(step, loss.item(), correct.item())
