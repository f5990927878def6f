import torch
import torch.nn as nn
import torch.nn.functional as F

TEXT = "the quick brown fox jumps over the lazy dog. " * 8
CHARS = sorted(set(TEXT))
ENCODE = {c: i for i, c in enumerate(CHARS)}


class CharModel(nn.Module):
    def __init__(self, vocab, dim=32):
        super().__init__()
        self.embedding = nn.Embedding(vocab, dim)
        self.lstm = nn.LSTM(dim, dim, batch_first=True)
        self.decoder = nn.Linear(dim, vocab)

    def forward(self, ids):
        out, _ = self.lstm(self.embedding(ids))
        return self.decoder(out)


def get_batch(data, size, length):
    starts = torch.randint(0, len(data) - length, (size,))
    return torch.stack([data[s:s + length] for s in starts])


torch.manual_seed(261)
data = torch.tensor([ENCODE[c] for c in TEXT])
model = CharModel(len(CHARS))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)

for step in range(6):
    ids = get_batch(data, size=16, length=24)
    logits = model(ids)
    loss = F.cross_entropy(logits[:, :-1].reshape(-1, len(CHARS)), ids[:, 1:].reshape(-1))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(f"step {step}: {loss.item():.4f}")
