"""The model shifts labels=input_ids itself, once; a masked model beside it needs no shift at all."""
import torch
import torch.nn as nn
import torch.nn.functional as F


class CausalLM(nn.Module):
    def __init__(self, vocab=24, dim=16):
        super().__init__()
        self.emb = nn.Embedding(vocab, dim)
        self.rnn = nn.GRU(dim, dim, batch_first=True)
        self.head = nn.Linear(dim, vocab)

    def forward(self, input_ids, labels):
        logits = self.head(self.rnn(self.emb(input_ids))[0])
        return F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())


class MaskedLM(nn.Module):
    def __init__(self, vocab=24, dim=16):
        super().__init__()
        self.emb = nn.Embedding(vocab + 1, dim)
        self.rnn = nn.GRU(dim, dim, batch_first=True, bidirectional=True)
        self.head = nn.Linear(2 * dim, vocab)

    def forward(self, ids, labels):
        logits = self.head(self.rnn(self.emb(ids))[0])
        return F.cross_entropy(logits.transpose(1, 2), labels)


torch.manual_seed(263)
causal, masked = CausalLM(), MaskedLM()
opt = torch.optim.Adam([*causal.parameters(), *masked.parameters()], lr=0.01)
for step in range(5):
    tokens = (torch.randint(24, (12, 1)) + torch.randint(1, 4, (12, 10)).cumsum(1)) % 24
    hidden = torch.rand(tokens.shape) < 0.25
    hidden[:, 4] = True
    causal_loss = causal(tokens, labels=tokens)
    masked_loss = masked(tokens.masked_fill(hidden, 24), labels=tokens.masked_fill(~hidden, -100))
    loss = causal_loss + masked_loss
    opt.zero_grad()
    loss.backward()
    opt.step()
    print(step, causal_loss.item(), masked_loss.item())
