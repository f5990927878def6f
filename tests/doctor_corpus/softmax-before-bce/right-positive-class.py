"""Two outputs; the probability of the second one is that of the event."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(16)
net = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 2))
optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
transactions = torch.randn(80, 5)
fraud = (transactions.sum(1) > 1.5).float()

for step in range(5):
    p_fraud = F.softmax(net(transactions), dim=1)[:, 1]
    loss = F.binary_cross_entropy(p_fraud, fraud)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, loss.item())
