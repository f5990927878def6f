import torch
from torch import nn


def keep_top_k(logits, k):
    """All but the k largest logits of a row become -inf."""
    threshold = logits.topk(k, dim=-1).values[..., -1:]
    return torch.where(logits < threshold, torch.full_like(logits, float("-inf")), logits)


class WordModel(nn.Module):
    def __init__(self, vocab=40, dim=20):
        super().__init__()
        self.emb = nn.Embedding(vocab, dim)
        self.rnn = nn.RNN(dim, dim, batch_first=True)
        self.out = nn.Linear(dim, vocab)

    def forward(self, words):
        return self.out(self.rnn(self.emb(words))[0][:, -1])


torch.manual_seed(342)
model = WordModel()
criterion = nn.CrossEntropyLoss()
opt = torch.optim.SGD(model.parameters(), lr=0.1)
for step in range(4):
    context = torch.randint(0, 40, (12, 5))
    following = (context[:, -1] + 7) % 40
    logits = model(context)
    loss = criterion(logits, following)
    opt.zero_grad()
    loss.backward()
    opt.step()
    print(step, loss.item())
    print("guess", torch.multinomial(keep_top_k(logits.detach(), 10).softmax(-1), 1)[0].item())
