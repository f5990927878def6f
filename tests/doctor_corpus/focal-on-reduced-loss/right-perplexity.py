"""exp of the mean loss is the perplexity, which is only reported; the weight is a schedule."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(223)
emb = nn.Embedding(12, 16)
rnn = nn.GRU(16, 16, batch_first=True)
out = nn.Linear(16, 12)
params = [*emb.parameters(), *rnn.parameters(), *out.parameters()]
opt = torch.optim.Adam(params, lr=0.01)
start = torch.randint(0, 12, (20, 1))
tokens = (start + torch.arange(9) * 5) % 12
for step in range(5):
    logits = out(rnn(emb(tokens[:, :-1]))[0])
    ce = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
    warmup = (1 - 0.5 ** (step + 1)) ** 2
    loss = warmup * ce
    opt.zero_grad()
    loss.backward()
    opt.step()
    perplexity = torch.exp(ce.detach())
    print(f"{step}: perplexity {perplexity.item():.2f}")
