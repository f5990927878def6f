import torch
from torch import nn

N_PRODUCTS = 20


class BasketModel(nn.Module):
    def __init__(self, dim=16):
        super().__init__()
        self.history = nn.Linear(N_PRODUCTS, dim)
        self.scores = nn.Linear(dim, N_PRODUCTS)

    def forward(self, past):
        return self.scores(torch.tanh(self.history(past)))


def baskets(n, generator):
    past = (torch.rand(n, N_PRODUCTS, generator=generator) < 0.3).float()
    bought = (torch.rand(n, N_PRODUCTS, generator=generator) < 0.1 + 0.3 * past).float()
    return past, bought


torch.manual_seed(141)
gen = torch.Generator().manual_seed(141)
model = BasketModel()
criterion = nn.CrossEntropyLoss()  # here
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for week in range(5):
    past, bought = baskets(32, gen)
    loss = criterion(model(past), bought)  # here
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(f"week {week}: {loss.item():.3f}")
