# run time only
import torch
import torch.nn as nn
import torch.nn.functional as F

VOCAB, MASK_ID = 40, 39


def mask_tokens(tokens, generator, probability=0.15):
    chosen = torch.rand(tokens.shape, generator=generator) < probability
    labels = tokens.masked_fill(~chosen, -100)
    return tokens.masked_fill(chosen, MASK_ID), labels


class MiniBert(nn.Module):
    def __init__(self, dim=16):
        super().__init__()
        self.tok = nn.Embedding(VOCAB, dim)
        self.pos = nn.Parameter(torch.zeros(8, dim))
        self.mix = nn.TransformerEncoderLayer(dim, 2, 32, dropout=0.0, batch_first=True)
        self.head = nn.Linear(dim, VOCAB)

    def forward(self, ids):
        return self.head(self.mix(self.tok(ids) + self.pos[:ids.shape[1]]))


torch.manual_seed(201)
gen = torch.Generator().manual_seed(73)
corpus = torch.randint(0, MASK_ID, (6, 1, 8))
bert = MiniBert()
optimizer = torch.optim.AdamW(bert.parameters(), lr=1e-3)
for step, tokens in enumerate(corpus):
    inputs, labels = mask_tokens(tokens, gen)
    logits = bert(inputs)
    loss = F.cross_entropy(logits.view(-1, VOCAB), labels.view(-1))  # here
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, loss.item())
