import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset


class Trainer:
    def __init__(self, model, loader):
        self.model = model
        self.loader = loader
        self.loss = nn.BCEWithLogitsLoss()
        self.optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def train(self, epochs):
        for epoch in range(epochs):
            for rows, bought in self.loader:
                self.optimizer.zero_grad()
                loss = self.loss(self.model(rows).squeeze(1), bought)
                loss.backward()
                self.optimizer.step()
            print(f"epoch {epoch}: {loss.item():.4f}")


if __name__ == "__main__":
    torch.manual_seed(282)
    visits = torch.randn(48, 5)
    bought = (visits[:, 0] > 0.5).float()
    loader = DataLoader(TensorDataset(visits, bought), batch_size=12)
    Trainer(nn.Linear(5, 1), loader).train(2)
