import torch
import torch.nn.functional as F
from torch import nn


class EdgeLoss(nn.Module):
    def forward(self, pred, image):
        pred = pred.argmax(1).unsqueeze(1).float()  # finds detached-loss likely
        return torch.sum((pred[..., 1:] - pred[..., :-1]) * image[..., 1:])


class SoftEdgeLoss(nn.Module):
    def forward(self, pred, image):
        sizes, pred = pred.shape, pred.softmax(1)
        return torch.sum((pred[..., 1:] - pred[..., :-1]) * image[..., 1:]) / sizes[0]


class Levels:
    def dependence_loss(self, predictions, labels):
        total = 0
        for level in range(1, self.levels):
            below = torch.argmax(nn.Softmax(dim=1)(predictions[level]), dim=1)  # finds detached-loss likely
            above = torch.argmax(nn.Softmax(dim=1)(predictions[level - 1]), dim=1)
            wrong = torch.FloatTensor([not b in self.tree[a.item()] for a, b in zip(above, below)])
            total += torch.sum(torch.pow(3, wrong * (below != labels[level])) - 1)
        return self.beta * total


def train(model, batches, weight):
    criterion, edges, soft, levels = nn.CrossEntropyLoss(), EdgeLoss(), SoftEdgeLoss(), Levels()
    for image, mask in batches:
        pred = model(image)
        loss = criterion(pred, mask) + weight * edges(pred, image) + weight * soft(pred, image)
        loss.backward()
    for x, y, z in batches:
        first, second = model(x)
        loss = criterion(first, y) + levels.dependence_loss([first, second], [y, z])
        loss.backward()


def with_a_memory(model, batches, memory, weight):
    for x, y in batches:
        output, features = model(x)
        apart = 1.0 - memory.memory_loss(features.detach(), y.detach())  # finds detached-loss likely
        together = memory.centre_loss(features, y.detach())
        loss = F.cross_entropy(output, y) + weight * apart + weight * together
        loss.backward()


def of_a_list(model, batches, weight):
    for x, y in batches:
        output, features = model(x)
        losses, numbers = [], []
        for feature in features:
            losses.append(model.distance(feature))
            numbers.append(model.distance(feature).item())
        loss = F.cross_entropy(output, y) + weight * torch.mean(torch.tensor(losses))  # finds detached-loss likely
        print(torch.tensor(losses).mean(), torch.tensor(numbers).mean())
        loss.backward()
