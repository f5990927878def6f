import torch
from torch import nn

torch.manual_seed(161)


class RatingModel(nn.Module):
    def __init__(self, users, films, dim=8, ratings=5):
        super().__init__()
        self.users = nn.Embedding(users, dim)
        self.films = nn.Embedding(films, dim)
        self.out = nn.Linear(2 * dim, ratings)

    def forward(self, u, f):
        return self.out(torch.cat([self.users(u), self.films(f)], dim=-1))


user = torch.randint(0, 25, (200,))
film = torch.randint(0, 40, (200,))
stars = torch.randint(1, 6, (200,))

model = RatingModel(25, 40)
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for step in range(5):
    rows = slice(40 * step, 40 * step + 40)
    loss = criterion(model(user[rows], film[rows]), stars[rows])  # here
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, loss.item())
