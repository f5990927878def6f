"""Each answer gets one score; the answers of a question compete."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(101)
CHOICES = 4


class Reader(nn.Module):
    def __init__(self, dim=12):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2 * dim, 24), nn.ReLU())
        self.score = nn.Linear(24, 1)

    def forward(self, question, answers):
        n, k, d = answers.shape
        pairs = torch.cat([question[:, None].expand(n, k, d), answers], dim=-1)
        return self.score(self.body(pairs.view(n * k, -1))).view(n, k)


reader = Reader()
opt = torch.optim.Adam(reader.parameters(), lr=1e-2)
for step in range(5):
    question = torch.randn(20, 12)
    correct = torch.randint(CHOICES, (20,))
    answers = torch.randn(20, CHOICES, 12)
    answers[torch.arange(20), correct] += question
    loss = F.cross_entropy(reader(question, answers), correct)
    opt.zero_grad()
    loss.backward()
    opt.step()
    print(step, loss.item())
