import torch
from torch import nn

torch.manual_seed(242)
K = 7


class TopicRegressor(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(25, 32),
            nn.ReLU(),
            nn.Linear(32, K),
            nn.LogSoftmax(dim=1),
        )

    def forward(self, counts):
        return self.net(counts)


counts = torch.randint(0, 5, (60, 25)).float()
proportions = torch.distributions.Dirichlet(torch.full((K,), 0.6)).sample((60,))
regressor = TopicRegressor()
criterion = nn.KLDivLoss(reduction="batchmean")
optimizer = torch.optim.RMSprop(regressor.parameters(), lr=1e-3)
for epoch in range(5):
    optimizer.zero_grad()
    loss = criterion(regressor(counts), proportions)
    loss.backward()
    optimizer.step()
    print(f"epoch {epoch}: KL {loss.item():.4f}")
