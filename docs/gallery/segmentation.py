"""Segment discs and squares in noise, where a fifth of all pixels was never labelled."""

import matplotlib.pyplot as plt
import torch

from crossentropy import information
from crossentropy.nn import CrossEntropyLoss

SIZE, UNLABELLED = 32, 255


def scenes(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (N, 1, H, W) of a disc and a square, and the class of each pixel (N, H, W): 1, 2, or 0 for the ground."""
    place = torch.arange(SIZE)
    x, y, radius = torch.rand(3, count, 2, 1, 1) * torch.tensor([22.0, 22, 3]).view(3, 1, 1, 1, 1) + 5
    across, down = (place.view(1, 1, 1, -1) - x).abs(), (place.view(1, 1, -1, 1) - y).abs()
    disc = across[:, 0].hypot(down[:, 0]) < radius[:, 0]
    square = torch.maximum(across[:, 1], down[:, 1]) < radius[:, 1]
    masks = torch.where(square, 2, disc.long())
    return masks.float().unsqueeze(1) + 0.8 * torch.randn(count, 1, SIZE, SIZE), masks


torch.manual_seed(0)
images, masks = scenes(256)
masks[torch.rand(masks.shape) < 0.2] = UNLABELLED
sizes = (1, 12, 12, 12)
layers = [
    layer
    for n, (inner, outer) in enumerate(zip(sizes, sizes[1:]))
    for layer in (torch.nn.Conv2d(inner, outer, 5, padding="same", dilation=n + 1), torch.nn.ReLU())
]
model = torch.nn.Sequential(*layers, torch.nn.Conv2d(12, 3, 1))
criterion = CrossEntropyLoss(ignore_index=UNLABELLED)
optimizer = torch.optim.Adam(model.parameters(), 0.01)
for step in range(120):
    rows = torch.randint(len(images), (16,))
    loss = criterion(model(images[rows]), masks[rows])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

images, truth = scenes(4)
with torch.no_grad():
    logits = model(images)
entropy = information.entropy(logits=logits, dim=1)
print(f"accuracy of pixels {(logits.argmax(1) == truth).float().mean().item():.1%}")

figure, axes = plt.subplots(4, 4, figsize=(6, 6), layout="constrained")
columns = {"image": images[:, 0], "truth": truth, "prediction": logits.argmax(1), "entropy": entropy}
for column, (name, pictures) in zip(axes.T, columns.items()):
    column[0].set_title(name)
    for axis, picture in zip(column, pictures):
        axis.imshow(picture, cmap="gray" if name == "image" else "viridis", vmin=0 if name == "entropy" else None)
        axis.axis("off")
figure.savefig("segmentation.svg")
