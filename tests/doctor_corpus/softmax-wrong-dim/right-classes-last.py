"""The classes are last for the log_softmax, and moved to axis 1 only for nll_loss; attention over keys is dim 2."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(73)


class Tagger(nn.Module):
    def __init__(self, vocab=30, dim=16, tags=5):
        super().__init__()
        self.emb = nn.Embedding(vocab, dim)
        self.q = nn.Linear(dim, dim)
        self.k = nn.Linear(dim, dim)
        self.out = nn.Linear(2 * dim, tags)

    def forward(self, ids):
        h = self.emb(ids)
        scores = self.q(h) @ self.k(h).transpose(1, 2) / h.shape[-1] ** 0.5
        context = F.softmax(scores, dim=2) @ h
        return F.log_softmax(self.out(torch.cat([h, context], dim=-1)), dim=-1)


words = torch.randint(0, 30, (16, 9))
tags = words % 5
tagger = Tagger()
optimizer = torch.optim.Adam(tagger.parameters(), lr=0.01)
for step in range(5):
    log_probs = tagger(words)
    loss = F.nll_loss(log_probs.transpose(1, 2), tags)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, loss.item())
