"""Train a classifier of handwritten digits, and look at the images that cost it most."""

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits

import crossentropy.functional as F
from crossentropy.nn import CrossEntropyLoss

torch.manual_seed(0)
images, labels = (torch.tensor(array) for array in load_digits(return_X_y=True))
images = images.float() / 16
test, rest = torch.randperm(len(images)).split((597, 1200))

model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
criterion = CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), 0.01)
for _ in range(15):
    for rows in rest[torch.randperm(len(rest))].split(64):
        loss = criterion(model(images[rows]), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

with torch.no_grad():
    logits = model(images[test])
losses = F.cross_entropy(logits, labels[test], reduction="none")
statistics = F.token_statistics(logits, labels[test])
accuracy = (statistics.argmax == labels[test]).float().mean().item()
print(f"{losses.mean().item():.3f} nat, accuracy {accuracy:.1%}")

figure, axes = plt.subplots(2, 6, figsize=(8, 3.6), layout="constrained")
for axis, row in zip(axes.flat, losses.argsort(descending=True)):
    axis.imshow(images[test[row]].view(8, 8), cmap="gray_r")
    axis.set_title(f"{labels[test[row]]} read as {statistics.argmax[row]}\n{losses[row]:.2f} nat", fontsize=10)
    axis.axis("off")
figure.savefig("classifier.svg")
