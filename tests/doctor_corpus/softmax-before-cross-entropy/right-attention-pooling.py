"""Sentence classifier which pools its tokens by attention; probabilities are shown at the end."""
import torch
from torch import nn

torch.manual_seed(11)


class AttentionPool(nn.Module):
    def __init__(self, vocab=40, dim=16, classes=4):
        super().__init__()
        self.emb = nn.Embedding(vocab, dim)
        self.query = nn.Linear(dim, 1)
        self.out = nn.Linear(dim, classes)

    def forward(self, ids):
        h = self.emb(ids)
        weights = torch.softmax(self.query(h).squeeze(-1), dim=1)
        pooled = (weights.unsqueeze(-1) * h).sum(1)
        return self.out(pooled)

    @torch.no_grad()
    def predict_proba(self, ids):
        return torch.softmax(self(ids), dim=-1)


sentences = torch.randint(0, 40, (64, 12))
labels = sentences[:, 0] % 4
model = AttentionPool()
criterion = nn.CrossEntropyLoss()
opt = torch.optim.AdamW(model.parameters(), lr=1e-2)

for epoch in range(5):
    opt.zero_grad()
    loss = criterion(model(sentences), labels)
    loss.backward()
    opt.step()
    print(epoch, loss.item())

probs = model.predict_proba(sentences[:3])
for row, label in zip(probs, labels):
    print(f"true {label}: " + " ".join(f"{p:.2f}" for p in row.tolist()))
