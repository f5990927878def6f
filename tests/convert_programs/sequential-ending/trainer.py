import argparse

import torch
from net import MLP
from torch import nn


class Trainer:
    def __init__(self, args):
        self.args = args
        self.model = MLP(6, args.hidden, 3)
        self.loss_fn = nn.CrossEntropyLoss()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=args.lr)

    def fit(self, x, y):
        for epoch in range(self.args.epochs):
            self.optimizer.zero_grad()
            pred = self.model(x)
            loss = self.loss_fn(pred, y)
            loss.backward()
            self.optimizer.step()
            print(epoch, loss.item())

    def score(self, x, y):
        self.model.eval()
        with torch.no_grad():
            pred = self.model(x)
        return (pred.argmax(1) == y).type(torch.float).mean().item()

    def predict_proba(self, x):
        self.model.eval()
        with torch.no_grad():
            return self.model(x).cpu().numpy()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--hidden", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--lr", type=float, default=0.05)
    args = parser.parse_args([])
    torch.manual_seed(1)
    x, y = torch.randn(20, 6), torch.randint(0, 3, (20,))
    trainer = Trainer(args)
    trainer.fit(x, y)
    print(trainer.score(x, y))
    print(trainer.predict_proba(x).max(axis=1))
