import torch
from torch import nn

CLASSES = ["silence", "speech", "music"]


class Experiment:
    def __init__(self, model, criterion, lr):
        self.model, self.criterion = model, criterion
        self.optimizer = torch.optim.SGD(model.parameters(), lr=lr)

    def run(self, batches):
        for clip, label in batches:
            out = self.model(clip)
            loss = self.criterion(out, label.unsqueeze(1).float())  # here
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            yield loss.item()


def clips(n, size, generator):
    for _ in range(n):
        label = torch.randint(len(CLASSES), (size,), generator=generator)
        yield torch.randn(size, 32, generator=generator) * (1 + label[:, None]), label


torch.manual_seed(172)
g = torch.Generator().manual_seed(172)
model = nn.Sequential(nn.Linear(32, 8), nn.ReLU(), nn.Linear(8, 1), nn.Sigmoid())
experiment = Experiment(model, nn.BCELoss(), lr=0.05)  # here
for i, value in enumerate(experiment.run(clips(6, 16, g))):
    print(i, round(value, 4))
