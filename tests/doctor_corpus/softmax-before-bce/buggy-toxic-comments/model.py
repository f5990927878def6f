from torch import nn


class CommentEncoder(nn.Module):
    def __init__(self, vocab, n_tags, dim=12):
        super().__init__()
        self.bag = nn.EmbeddingBag(vocab, dim, mode="mean")
        self.proj = nn.Linear(dim, n_tags)

    def forward(self, ids):
        return self.proj(self.bag(ids))
