import torch
from torch import nn

GENRES = ["action", "comedy", "drama", "horror", "romance"]


def plots(n, gen):
    """Bags of words with the genres which they mention."""
    words = torch.rand(n, 40, generator=gen)
    genres = (words[:, :5] > 0.55).float()
    return words, genres


gen = torch.Generator().manual_seed(14)
torch.manual_seed(14)
model = nn.Sequential(
    nn.Linear(40, 24),
    nn.ReLU(),
    nn.Linear(24, len(GENRES)),
    nn.Softmax(dim=1),  # here
)
criterion = nn.BCELoss()  # here
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)

for step in range(6):
    words, genres = plots(32, gen)
    predicted = model(words)
    loss = criterion(predicted, genres)  # here
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, f"{loss.item():.4f}")
