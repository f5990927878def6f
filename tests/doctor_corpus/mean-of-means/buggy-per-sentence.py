import torch
from torch import nn


class SentenceTagger(nn.Module):
    def __init__(self, vocab=50, tags=6, dim=16):
        super().__init__()
        self.emb = nn.Embedding(vocab, dim)
        self.rnn = nn.GRU(dim, dim, batch_first=True, bidirectional=True)
        self.out = nn.Linear(2 * dim, tags)

    def forward(self, words):
        return self.out(self.rnn(self.emb(words[None]))[0])[0]


def batch_loss(model, criterion, batch):
    losses = []
    for words, tags in batch:
        losses.append(criterion(model(words), tags))  # here
    return torch.stack(losses).mean()  # here


def main():
    torch.manual_seed(233)
    corpus = [torch.randint(50, (length,)) for length in (3, 21, 8, 14, 5, 30, 4, 17)]
    treebank = [(words, words % 6) for words in corpus]
    model = SentenceTagger()
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for i in range(4):
        batch = treebank[2 * i:2 * i + 2]
        optimizer.zero_grad()
        loss = batch_loss(model, criterion, batch)
        loss.backward()
        optimizer.step()
        print(i, loss.item())


main()
