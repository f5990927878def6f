"""One head gives log-probabilities for nll_loss, the other one logits for cross_entropy."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(2)


class TwoHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(10, 32), nn.ReLU())
        self.genre = nn.Linear(32, 7)
        self.mood = nn.Linear(32, 3)

    def forward(self, x):
        h = self.body(x)
        return F.log_softmax(self.genre(h), dim=-1), self.mood(h)


songs = torch.randn(64, 10)
genre = torch.randint(0, 7, (64,))
mood = torch.randint(0, 3, (64,))
model = TwoHeads()
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
for step in range(5):
    genre_log_probs, mood_logits = model(songs)
    genre_loss = F.nll_loss(genre_log_probs, genre)
    mood_loss = F.cross_entropy(mood_logits, mood)
    total = genre_loss + 0.5 * mood_loss
    optimizer.zero_grad()
    total.backward()
    optimizer.step()
    print(step, genre_loss.item(), mood_loss.item())
