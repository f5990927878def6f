import torch
import torch.nn as nn

torch.manual_seed(51)


class SEBlock(nn.Module):
    """Squeeze and excitation: channels are scaled by a sigmoid."""

    def __init__(self, channels):
        super().__init__()
        self.fc = nn.Linear(channels, channels)

    def forward(self, x):
        s = torch.sigmoid(self.fc(x.mean(dim=(2, 3))))
        return x * s[:, :, None, None]


model = nn.Sequential(
    nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), SEBlock(6), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4)
)
xrays = torch.randn(32, 1, 12, 12)
findings = (torch.rand(32, 4) < 0.3).float()
criterion = nn.BCEWithLogitsLoss(pos_weight=torch.full((4,), 2.0))
opt = torch.optim.Adam(model.parameters(), lr=1e-2)
for epoch in range(4):
    logits = model(xrays)
    loss = criterion(logits, findings)
    opt.zero_grad()
    loss.backward()
    opt.step()
    with torch.no_grad():
        predicted = torch.sigmoid(logits) > 0.5
        exact = (predicted == findings.bool()).float().mean()
    print(f"epoch {epoch} loss {loss.item():.4f} agreement {exact.item():.3f}")
