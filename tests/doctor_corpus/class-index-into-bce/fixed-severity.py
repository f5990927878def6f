import torch
import torch.nn as nn
import torch.nn.functional as F


class SeverityNet(nn.Module):
    def __init__(self, n_inputs=8):
        super().__init__()
        self.fc1 = nn.Linear(n_inputs, 24)
        self.fc2 = nn.Linear(24, 4)

    def forward(self, x):
        return self.fc2(F.relu(self.fc1(x)))


torch.manual_seed(171)
lesions = torch.randn(100, 8)
severity = torch.bucketize(lesions[:, 0].contiguous(), torch.tensor([-0.7, 0.0, 0.7]))  # 0 none, 1 mild, 2 moderate, 3 severe

model = SeverityNet()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for epoch in range(5):
    for x, y in zip(lesions.split(50), severity.split(50)):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
    print(f"{epoch} {loss.item():.4f}")
