import torch
import torch.nn as nn
import torch.nn.functional as F


class Autoregressor(nn.Module):
    def __init__(self, levels=8):
        super().__init__()
        self.emb = nn.Embedding(levels, 16)
        self.rnn = nn.GRU(16, 16, batch_first=True)
        self.out = nn.Linear(16, levels)

    def forward(self, codes):
        return self.out(self.rnn(self.emb(codes))[0])


torch.manual_seed(301)
wave = ((torch.arange(400).float() / 7).sin() * 3.99 + 4).long()
model = Autoregressor()
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
losses = []
for step in range(6):
    start = torch.randint(0, 360, (8,))
    codes = torch.stack([wave[s:s + 33] for s in start])
    logits = model(codes[:, :-1])
    loss = F.cross_entropy(logits.transpose(1, 2), codes[:, 1:])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())

print("first", losses[0], "last", losses[-1])
