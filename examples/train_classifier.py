"""Train a classifier on two moons of points: the class instead of torch's, and nothing else changed."""

import torch

from crossentropy import nn


def two_moons(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Points (N, 2) on two half circles, and which one (N,)."""
    labels = torch.arange(count) % 2
    angle = torch.rand(count) * torch.pi + labels * torch.pi
    center = torch.stack([labels.float(), 0.5 * labels], 1)
    return center + torch.stack([angle.cos(), angle.sin()], 1) + 0.1 * torch.randn(count, 2), labels


def main() -> float:
    """Train, and return the accuracy on new points."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(2, 32), torch.nn.ReLU(), torch.nn.Linear(32, 2))
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    points, labels = two_moons(500)
    for _ in range(200):
        loss = criterion(model(points), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    points, labels = two_moons(500)
    logits = model(points)
    accuracy = (logits.argmax(1) == labels).float().mean().item()
    print(f"new points: cross entropy {criterion(logits, labels).item():.4f} nat, accuracy {accuracy:.1%}")
    return accuracy


if __name__ == "__main__":
    main()
