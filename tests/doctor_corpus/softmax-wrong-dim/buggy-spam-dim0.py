import torch
import torch.nn as nn

torch.manual_seed(71)


class SpamFilter(nn.Module):
    def __init__(self, n_words, n_classes=2):
        super().__init__()
        self.fc1 = nn.Linear(n_words, 16)
        self.fc2 = nn.Linear(16, n_classes)
        self.log_softmax = nn.LogSoftmax(dim=0)  # here

    def forward(self, counts):
        hidden = torch.relu(self.fc1(counts))
        return self.log_softmax(self.fc2(hidden))  # here


counts = torch.poisson(torch.full((72, 30), 0.4))
is_spam = (counts[:, :4].sum(1) > 1).long()
spam_filter = SpamFilter(30)
criterion = nn.NLLLoss()
optimizer = torch.optim.SGD(spam_filter.parameters(), lr=0.1)

for epoch in range(2):
    for start in range(0, 72, 24):
        x, y = counts[start:start + 24], is_spam[start:start + 24]
        optimizer.zero_grad()
        loss = criterion(spam_filter(x), y)  # here
        loss.backward()
        optimizer.step()
        print(f"{epoch} {start:3d} {loss.item():.4f}")
