"""A student with sixty labels learns more from what a teacher says about images that nobody labelled."""

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits

import crossentropy.functional as F

images, labels = (torch.tensor(array) for array in load_digits(return_X_y=True))
images = images.float() / 16
test, rest = torch.randperm(len(images), generator=torch.Generator().manual_seed(0)).split((597, 1200))
labelled = rest[:60]


def network(width: int) -> torch.nn.Module:
    """One hidden layer."""
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(64, width), torch.nn.ReLU(), torch.nn.Linear(width, 10))


def train(model: torch.nn.Module, rows: torch.Tensor, teacher: torch.nn.Module | None = None) -> list[float]:
    """Train on labels of these rows, and on what a teacher says of all; the accuracy of each tenth step."""
    optimizer, accuracies = torch.optim.Adam(model.parameters(), 0.01), []
    for step in range(300):
        batch = rows[torch.randint(len(rows), (64,))]
        loss = F.cross_entropy(model(images[batch]), labels[batch])
        if teacher is not None:
            batch = rest[torch.randint(len(rest), (64,))]
            with torch.no_grad():
                taught = teacher(images[batch])
            loss = loss + 4**2 * F.kl_div_with_logits(model(images[batch]), taught, temperature=4.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 10 == 9:
            accuracies.append((model(images[test]).argmax(1) == labels[test]).float().mean().item())
    return accuracies


teacher = network(256)
best = train(teacher, rest)[-1]
alone, taught = train(network(16), labelled), train(network(16), labelled, teacher)
print(f"teacher {best:.1%}, student alone {alone[-1]:.1%}, taught {taught[-1]:.1%}")

figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained")
left.axhline(best, color="0.5", linestyle="--", linewidth=1)
left.annotate("teacher", (0, best), va="bottom")
left.plot(range(10, 301, 10), taught, label="student, taught")
left.plot(range(10, 301, 10), alone, label="student, alone")
left.set(xlabel="step", ylabel="accuracy", ylim=(0.5, 1.02))
left.legend(frameon=False, loc="lower right")
logits = teacher(images[test]).detach()
doubtful = F.token_statistics(logits).entropy.argmax()
for shift, temperature in ((-0.2, 1.0), (0.2, 4.0)):
    q = F.softmax(logits[doubtful] / temperature, dim=0)
    right.bar(torch.arange(10) + shift, q, 0.4, label=f"temperature {temperature:.0f}")
right.set(xticks=range(10), xlabel="class", ylabel="the teacher's probability, of one image")
right.legend(frameon=False)
figure.savefig("distillation.svg")
