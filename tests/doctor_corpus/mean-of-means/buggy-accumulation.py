import torch
import torch.nn.functional as F
from torch import nn

PAD = 0


def make_batch(length, size=6):
    """Arithmetic sequences which end at some place within the length."""
    start = torch.randint(0, 19, (size, 1))
    tokens = (start + torch.arange(length) * 3) % 19 + 1
    ends = torch.randint(3, length + 1, (size, 1))
    return tokens.masked_fill(torch.arange(length) >= ends, PAD)


class CharLM(nn.Module):
    def __init__(self, vocab=20, dim=24):
        super().__init__()
        self.emb = nn.Embedding(vocab, dim, padding_idx=PAD)
        self.rnn = nn.GRU(dim, dim, batch_first=True)
        self.head = nn.Linear(dim, vocab)

    def forward(self, ids):
        return self.head(self.rnn(self.emb(ids))[0])


torch.manual_seed(232)
ACCUMULATE = 4
lm = CharLM()
optimizer = torch.optim.AdamW(lm.parameters(), lr=1e-2)
for step in range(4):
    micro_batches = [make_batch(length) for length in (5, 9, 17, 33)]
    optimizer.zero_grad()
    total = 0.0
    for tokens in micro_batches:
        inputs, targets = tokens[:, :-1], tokens[:, 1:]
        logits = lm(inputs)
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=PAD)  # here
        loss = loss / ACCUMULATE  # here
        loss.backward()  # here
        total += loss.item()
    optimizer.step()
    print(f"step {step} loss {total:.4f}")
