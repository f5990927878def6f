import torch
from torch import nn

torch.manual_seed(181)
payments = torch.randn(128, 7)
fraud = (payments[:, 0] * payments[:, 1] > 0.8).float().unsqueeze(1)

detector = nn.Sequential(nn.Linear(7, 32), nn.ReLU(), nn.Linear(32, 1))
loss_fn = nn.BCEWithLogitsLoss()
optimizer = torch.optim.Adam(detector.parameters(), lr=1e-3)

for step in range(6):
    batch = torch.randint(0, 128, (32,))
    output = detector(payments[batch])
    target = fraud[batch]
    loss = loss_fn(target, output)  # here
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(f"step={step} loss={loss.item():.4f}")
