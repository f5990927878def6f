import torch.nn as nn
import torch.nn.functional as F


class Seq2Seq(nn.Module):
    def __init__(self, vocab_size, pad, dim=24):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, dim, padding_idx=pad)
        self.encoder = nn.GRU(dim, dim, batch_first=True)
        self.decoder = nn.GRU(dim, dim, batch_first=True)
        self.output = nn.Linear(dim, vocab_size)

    def forward(self, source, target_in):
        _, state = self.encoder(self.embedding(source))
        hidden, _ = self.decoder(self.embedding(target_in), state)
        return self.output(hidden)


def sequence_loss(logits, target):
    return F.cross_entropy(logits.transpose(1, 2), target)  # here
