import torch
import torch.nn.functional as F
from torch import nn


class Trained(nn.Module):
    def fit(self, batches):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        for rows, labels in batches:
            loss = F.cross_entropy(self(rows), labels)  # finds softmax-before-cross-entropy certain
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
