"""Which language does a surname come from? Character RNN."""
import random
import torch
import torch.nn as nn
import torch.nn.functional as F

LETTERS = "abcdefghijklmnopqrstuvwxyz"
LANGUAGES = ["Czech", "Irish", "Greek", "Polish"]
SUFFIX = {"Czech": "ek", "Irish": "ey", "Greek": "os", "Polish": "ski"}


class CharRNN(nn.Module):
    def __init__(self, hidden=24):
        super().__init__()
        self.hidden = hidden
        self.i2h = nn.Linear(len(LETTERS) + hidden, hidden)
        self.h2o = nn.Linear(hidden, len(LANGUAGES))

    def forward(self, name):
        h = torch.zeros(1, self.hidden)
        for ch in name:
            one = F.one_hot(torch.tensor([LETTERS.index(ch)]), len(LETTERS)).float()
            h = torch.tanh(self.i2h(torch.cat([one, h], dim=1)))
        return F.log_softmax(self.h2o(h), dim=1)


def sample():
    lang = random.randrange(len(LANGUAGES))
    stem = "".join(random.choices(LETTERS, k=4))
    return stem + SUFFIX[LANGUAGES[lang]], torch.tensor([lang])


random.seed(0)
torch.manual_seed(0)
rnn = CharRNN()
criterion = nn.NLLLoss()
opt = torch.optim.SGD(rnn.parameters(), lr=0.05)
for i in range(6):
    name, lang = sample()
    output = rnn(name)
    loss = criterion(output, lang)
    opt.zero_grad()
    loss.backward()
    opt.step()
    print(f"{name:>8} loss {loss.item():.4f}")
