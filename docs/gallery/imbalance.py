"""Three classes, of 900, 90 and 10 points: what weights of classes and a focal loss do to the boundaries."""

from functools import partial

import matplotlib.pyplot as plt
import torch

import crossentropy.functional as F

CENTRES = torch.tensor([[0.0, 0.0], [1.8, 0.6], [0.6, 1.9]])


def points(counts: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Points (N, 2) around the centres, and the centre of each (N,)."""
    labels = torch.arange(3).repeat_interleave(torch.tensor(counts))
    return CENTRES[labels] + 0.6 * torch.randn(len(labels), 2), labels


torch.manual_seed(0)
x, y = points([900, 90, 10])
new_x, new_y = points([1000, 1000, 1000])
weight = len(y) / (3 * y.bincount())
losses = {
    "no weights": F.cross_entropy,
    "weight=": partial(F.cross_entropy, weight=weight),
    "focal loss": partial(F.focal_loss, gamma=2.0),
}
grid = torch.stack(torch.meshgrid(torch.linspace(-2, 4, 150), torch.linspace(-2, 4, 150), indexing="xy"), -1)

figure, axes = plt.subplots(1, 3, figsize=(9, 3.4), layout="constrained")
for axis, (name, loss_of) in zip(axes, losses.items()):
    torch.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Linear(2, 16), torch.nn.Tanh(), torch.nn.Linear(16, 3))
    optimizer = torch.optim.Adam(model.parameters(), 0.03)
    for _ in range(200):
        loss = loss_of(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    right = model(new_x).argmax(1) == new_y
    recall = [f"{right[new_y == label].float().mean().item():.0%}" for label in range(3)]
    print(f"{name}: recall {', '.join(recall)}")
    axis.contourf(
        grid[..., 0], grid[..., 1], model(grid).argmax(-1), [-0.5, 0.5, 1.5, 2.5], colors=["C0", "C1", "C2"], alpha=0.25
    )
    for label in range(3):
        axis.plot(*x[y == label].T, ".", color=f"C{label}", markersize=4 if label else 2)
    axis.set(title=f"{name}\nrecall {', '.join(recall)}", xticks=[], yticks=[])
figure.savefig("imbalance.svg")
