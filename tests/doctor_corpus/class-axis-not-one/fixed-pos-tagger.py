import torch
import torch.nn as nn

TAGS = ["NOUN", "VERB", "ADJ", "ADV", "DET", "PRON"]


class BiLSTMTagger(nn.Module):
    def __init__(self, vocab_size, num_tags, dim=16):
        super().__init__()
        self.embed = nn.Embedding(vocab_size, dim)
        self.lstm = nn.LSTM(dim, dim, batch_first=True, bidirectional=True)
        self.hidden2tag = nn.Linear(2 * dim, num_tags)

    def forward(self, words):
        out, _ = self.lstm(self.embed(words))
        return self.hidden2tag(out)


torch.manual_seed(81)
words = torch.randint(0, 100, (40, 11))
tags = words % len(TAGS)

model = BiLSTMTagger(100, len(TAGS))
loss_function = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

for epoch in range(5):
    model.zero_grad()
    tag_scores = model(words)
    loss = loss_function(tag_scores.transpose(1, 2), tags)
    loss.backward()
    optimizer.step()
    print(f"epoch {epoch} loss {loss.item():.4f}")
