import torch
import torch.nn.functional as F
from torch import nn

rnn = nn.LSTM(5, 8, batch_first=True)
fc = nn.Linear(8, 6)
x = torch.randn(2, 7, 5)
hidden, _ = rnn(x)
loss = nn.CrossEntropyLoss()(fc(hidden), torch.randint(0, 6, (2, 7)))  # finds class-axis-not-one certain


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(20, 8, padding_idx=0)
        self.lstm = nn.LSTM(8, 8, batch_first=True, bidirectional=True)
        self.linear = nn.Linear(16, 5)

    def forward(self, x):
        return self.linear(self.lstm(self.embed(x))[0])


model = Tagger()
x = torch.randint(1, 20, (4, 6))
y = torch.randint(0, 5, (4, 6))
loss = F.cross_entropy(model(x).transpose(1, 2), y)
