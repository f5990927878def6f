"""A model that trained too long is too sure of itself; one number, found on other data, mends it."""

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits

from crossentropy.metrics import ExpectedCalibrationError, TemperatureScaling
from crossentropy.nn import CrossEntropyLoss

torch.manual_seed(0)
images, labels = (torch.tensor(array) for array in load_digits(return_X_y=True))
images = images.float() / 16 + 0.4 * torch.randn(images.shape)  # so that they can be misread
train, held_out, test = torch.randperm(len(images)).split((597, 600, 600))

model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
criterion, optimizer = CrossEntropyLoss(), torch.optim.Adam(model.parameters(), 0.01)
for _ in range(200):
    loss = criterion(model(images[train]), labels[train])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

with torch.no_grad():
    scaling = TemperatureScaling()
    found = scaling.fit(model(images[held_out]), labels[held_out])
    logits = model(images[test])
print(f"temperature {found.temperature:.2f}")

figure, axes = plt.subplots(1, 2, figsize=(8, 4), layout="constrained")
cases = {"as it was trained": logits, f"logits / {found.temperature:.2f}": scaling(logits)}
for axis, (name, z) in zip(axes, cases.items()):
    error = ExpectedCalibrationError(bins=10)
    error.update(z, labels[test])
    error.plot(ax=axis)
    axis.set_title(f"{name}: ECE {error.compute().item():.3f}")
figure.savefig("calibration.svg")
