import torch
from torch import nn
from torch.nn.functional import mse_loss, one_hot


class Classifier(nn.Sequential):
    def __init__(self, n_features, n_classes):
        super().__init__(nn.Linear(n_features, 32), nn.ReLU(), nn.Linear(32, n_classes))
        self.n_classes = n_classes

    def loss(self, x, labels):
        out = self(x)
        return mse_loss(out, one_hot(labels, self.n_classes).to(out.dtype))  # here


torch.manual_seed(312)
accelerometer = torch.randn(96, 18)
gait = accelerometer[:, :4].argmax(dim=1)
model = Classifier(18, 4)
opt = torch.optim.Adam(model.parameters(), lr=3e-3)
for i in range(6):
    rows = torch.randperm(96)[:24]
    loss = model.loss(accelerometer[rows], gait[rows])
    opt.zero_grad()
    loss.backward()
    opt.step()
    accuracy = (model(accelerometer).argmax(1) == gait).float().mean().item()
    print(f"{i} loss {loss.item():.4f} accuracy {accuracy:.3f}")
