import torch
import torch.nn as nn
import torch.nn.functional as F

POSITIVE, NEGATIVE = 1, 0


class Sentiment(nn.Module):
    def __init__(self, vocab_size, hidden_size=16):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, hidden_size)
        self.lstm = nn.LSTM(hidden_size, hidden_size, batch_first=True)
        self.fc = nn.Linear(hidden_size, 1)  # here

    def forward(self, review):
        _, (h, _) = self.lstm(self.embedding(review))
        return self.fc(h.squeeze(0))


def reviews(n, seed):
    g = torch.Generator().manual_seed(seed)
    text = torch.randint(0, 50, (n, 10), generator=g)
    label = torch.where((text < 10).sum(1) >= 2, POSITIVE, NEGATIVE)
    return text, label


def train():
    torch.manual_seed(10)
    model = Sentiment(50)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for step in range(5):
        text, label = reviews(32, step)
        loss = F.cross_entropy(model(text), label)  # here
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(step, loss.item())


train()
