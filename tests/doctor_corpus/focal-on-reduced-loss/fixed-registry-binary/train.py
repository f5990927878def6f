import torch
from torch import nn

from losses import get_loss

torch.manual_seed(222)
config = {"loss": {"name": "focal", "gamma": 1.5}, "lr": 0.02, "steps": 5}
scans = torch.randn(64, 9)
lesion = (scans[:, 0] > 1.2).float()
net = nn.Sequential(nn.Linear(9, 16), nn.ReLU(), nn.Linear(16, 1), nn.Flatten(0))
loss_fn = get_loss(**config["loss"])
opt = torch.optim.Adam(net.parameters(), lr=config["lr"])
for step in range(config["steps"]):
    loss = loss_fn(net(scans), lesion)
    opt.zero_grad()
    loss.backward()
    opt.step()
    print(step, loss.item())
