import torch
from torch import nn

SIZES = {"species": 6, "habitat": 4}


def heads(width, last):
    made = nn.ModuleDict()
    for name, size in SIZES.items():
        made[name] = nn.Sequential(nn.Linear(width, size), last())
    return made


def pairs(width):
    made = nn.ModuleDict([("species", nn.Sequential(nn.Linear(width, 6), nn.Softmax(1)))])
    made.update({"habitat": nn.Linear(width, 4)})
    return made


class Net(nn.Module):
    def __init__(self, heads):
        super().__init__()
        self.heads = heads

    def forward(self, x):
        return {name: head(x) for name, head in self.heads.items()}


criterion = nn.CrossEntropyLoss()
x, y = torch.randn(8, 5), {name: torch.randint(0, 4, (8,)) for name in SIZES}

outputs = Net(heads(5, nn.Sigmoid))(x)
sum(criterion(outputs[name], y[name]) for name in SIZES).backward()  # finds sigmoid-before-cross-entropy certain
outputs = Net(heads(5, nn.Identity))(x)
sum(criterion(outputs[name], y[name]) for name in SIZES).backward()

outputs = Net(pairs(5))(x)
criterion(outputs["species"], y["species"]).backward()  # finds softmax-before-cross-entropy certain
criterion(outputs["habitat"], y["habitat"]).backward()

net = nn.Sequential(nn.Linear(5, 4), nn.Softmax(1))
criterion(net(x), y["habitat"]).backward()  # finds softmax-before-cross-entropy certain
net[1] = nn.Identity()
criterion(net(x), y["habitat"]).backward()

towers = nn.ModuleList([nn.Linear(5, 4)])
towers[0] = nn.Sequential(nn.Linear(5, 4), nn.Sigmoid())
criterion(towers[0](x), y["habitat"]).backward()  # finds sigmoid-before-cross-entropy certain
