import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset


class BlockDataset(Dataset):
    """Blocks of a stream of tokens, with the tokens that follow them."""

    def __init__(self, stream, block):
        self.stream, self.block = stream, block

    def __len__(self):
        return (len(self.stream) - 1) // self.block

    def __getitem__(self, i):
        s = i * self.block
        x = self.stream[s:s + self.block]
        y = self.stream[s + 1:s + self.block + 1]  # here
        return x, y


class TinyGPT(nn.Module):
    def __init__(self, vocab, block, dim=16):
        super().__init__()
        self.tok = nn.Embedding(vocab, dim)
        self.pos = nn.Embedding(block, dim)
        self.layer = nn.TransformerEncoderLayer(dim, 2, 32, dropout=0.0, batch_first=True, norm_first=True)
        self.lm_head = nn.Linear(dim, vocab, bias=False)
        self.register_buffer("mask", torch.triu(torch.ones(block, block, dtype=torch.bool), diagonal=1))

    def forward(self, idx, targets=None):
        t = idx.shape[1]
        h = self.tok(idx) + self.pos(torch.arange(t))
        logits = self.lm_head(self.layer(h, src_mask=self.mask[:t, :t]))
        if targets is None:
            return logits, None
        shift_logits = logits[:, :-1].contiguous()  # here
        shift_targets = targets[:, 1:].contiguous()  # here
        loss = F.cross_entropy(shift_logits.flatten(0, 1), shift_targets.flatten())  # here
        return logits, loss


torch.manual_seed(262)
noise = (torch.rand(481) < 0.1).long() * torch.randint(1, 13, (481,))
stream = (torch.arange(481) * 5 + noise) % 13
gpt = TinyGPT(13, block=12)
optimizer = torch.optim.AdamW(gpt.parameters(), lr=3e-3)
for x, y in DataLoader(BlockDataset(stream, 12), batch_size=8):
    _, loss = gpt(x, y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(loss.item())
