import torch
from torch import nn
from torch.nn.functional import nll_loss
from torch.utils.data import DataLoader, TensorDataset


class Trainer:
    def __init__(self, model, loader, lr=0.1):
        self.model = model
        self.loader = loader
        self.optimizer = torch.optim.SGD(model.parameters(), lr=lr)
        self.log = []

    def compute_loss(self, batch):
        inputs, labels = batch
        return nll_loss(self.model(inputs), labels)  # here

    def train_epoch(self):
        self.model.train()
        for batch in self.loader:
            loss = self.compute_loss(batch)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.log.append(loss.item())


torch.manual_seed(33)
classifier = nn.Sequential(
    nn.Linear(6, 16),
    nn.GELU(),
    nn.Linear(16, 3),
    nn.Softmax(dim=1),  # here
)
data = TensorDataset(torch.randn(75, 6), torch.randint(0, 3, (75,)))
trainer = Trainer(classifier, DataLoader(data, batch_size=15))
trainer.train_epoch()
print("losses:", ", ".join(f"{v:.3f}" for v in trainer.log))
