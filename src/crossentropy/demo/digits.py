"""Act 2, change the loss to cross entropy: one network, one seed, three losses, on scans of handwritten digits."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from crossentropy import functional as F
from crossentropy._languages import Language
from crossentropy._progress import Progress
from crossentropy.demo.report import Figure, Section, Table, draw, translated

if TYPE_CHECKING:
    from matplotlib.figure import Figure as MatplotlibFigure

CLASSES, TRAINING, BATCH, LEARNING_RATE = 10, 1200, 32, 0.1
SOFTMAX_FLOOR = math.log(1 + 9 / math.e)
"""Least cross entropy on softmax outputs: they are at most 1 apart, so the best row is (1, 0, …, 0)."""


def squared_error(logits: Tensor, target: Tensor) -> Tensor:
    """Squared distance of the softmax outputs to the one-hot target."""
    one_hot = torch.nn.functional.one_hot(target, CLASSES)
    return (F.softmax(logits, 1) - one_hot).square().sum(1).mean()


def softmax_twice(logits: Tensor, target: Tensor) -> Tensor:
    """The classic mistake: cross_entropy applies log_softmax itself."""
    return F.cross_entropy(F.softmax(logits, 1), target)  # crossentropy: ignore[softmax-before-cross-entropy]


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Cross entropy, of the logits."""
    return F.cross_entropy(logits, target)


LOSSES: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], str]] = {
    "(a) squared error on softmax outputs": (squared_error, "0 (no nats)"),
    "(b) cross entropy on softmax outputs": (softmax_twice, f"ln(1 + 9/e) = {SOFTMAX_FLOOR:.4f}"),
    "(c) cross entropy on logits": (cross_entropy, "0"),
}


@dataclass(frozen=True)
class Run:
    """One training: by epoch, the loss it minimised, accuracy on the test scans, and their cross entropy in nats."""

    name: str
    floor: str
    losses: tuple[float, ...]
    accuracies: tuple[float, ...]
    nats: tuple[float, ...]


def load() -> tuple[Tensor, Tensor]:
    """The 1,797 scans of scikit-learn, (N, 64) in [0, 1], and their digits (N,)."""
    from sklearn.datasets import load_digits

    images, digits = load_digits(return_X_y=True)
    return torch.tensor(images, dtype=torch.float32) / 16, torch.tensor(digits)


def train(name: str, epochs: int, seed: int, progress: Progress) -> Run:
    """Train the network with one of the losses."""
    loss_function, floor = LOSSES[name]
    torch.manual_seed(seed)
    images, digits = load()
    order = torch.randperm(len(images))
    (x, y), (test_x, test_y) = ((images[i], digits[i]) for i in (order[:TRAINING], order[TRAINING:]))
    model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, CLASSES))
    optimizer = torch.optim.SGD(model.parameters(), LEARNING_RATE)
    losses, accuracies, nats = [], [], []
    for epoch in range(epochs):
        total = 0.0
        for rows in torch.randperm(TRAINING).split(BATCH):
            loss = loss_function(model(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows)
        with torch.no_grad():
            logits = model(test_x)
        losses.append(total / TRAINING)
        accuracies.append((logits.argmax(1) == test_y).float().mean().item())
        nats.append(F.cross_entropy(logits, test_y).item())
        progress(name, epoch + 1, epochs)
    return Run(name, floor, tuple(losses), tuple(accuracies), tuple(nats))


def run(epochs: int, seed: int, progress: Progress) -> list[Run]:
    """Train with each of the three losses."""
    return [train(name, epochs, seed, progress) for name in LOSSES]


def section(runs: list[Run], lang: Language = "en") -> Section:
    """The act as text, a table and curves."""
    squared, twice, right = runs
    table = Table(
        ("loss that was minimised", "at the end", "least possible", "test accuracy", "test cross entropy"),
        tuple(
            (r.name, f"{r.losses[-1]:.4f}", r.floor, f"{r.accuracies[-1]:.1%}", f"{r.nats[-1]:.3f} nat") for r in runs
        ),
    )
    english = Section(
        "2. Change the loss to cross entropy",
        (
            "The same small network (64 → 64 → 10), the same seed, the same optimiser, on real scans of handwritten "
            f"digits: only the loss differs. A blind guess costs ln 10 = {math.log(10):.4f} nat.",
            table,
            _curves(runs, lang),
            f"To read nine of ten test scans takes cross entropy on logits {_passed(right)}, squared error "
            f"{_passed(squared)}, cross entropy on softmax outputs {_passed(twice)}.",
            f"Applying softmax before cross_entropy is wrong without an error: the loss cannot fall below "
            f"{SOFTMAX_FLOOR:.4f} however good the network is, and its gradient is flattened twice.",
            "The gradient of squared error on softmax outputs is multiplied by the Jacobian of the softmax, "
            "diag(p) − ppᵀ, which vanishes where the network is confidently wrong; the gradient of cross entropy on "
            "logits is p − y, largest just there.",
        ),
    )
    return translated(english, lang)


def _passed(run: Run, accuracy: float = 0.9) -> str:
    """When a run first reached an accuracy."""
    epoch = next((i for i, a in enumerate(run.accuracies, start=1) if a >= accuracy), None)
    if epoch is None:
        return f"more than {len(run.accuracies)} epochs"
    return f"{epoch} epoch{'s' if epoch > 1 else ''}"


def _curves(runs: list[Run], lang: Language) -> Figure:
    def paint(canvas: "MatplotlibFigure") -> None:
        left, right = canvas.subplots(1, 2)
        epochs = range(1, len(runs[0].losses) + 1)
        for run in runs:
            left.plot(epochs, run.accuracies, label=run.name)
        left.set(xlabel="epoch", title="accuracy on the test scans", ylim=(0, 1))
        left.legend(fontsize="small")
        for run, colour in zip(runs[1:], ("C1", "C2")):
            right.plot(epochs, run.losses, colour)
        right.axhline(SOFTMAX_FLOOR, color="C1", linestyle="--", label=f"floor of (b): {SOFTMAX_FLOOR:.4f}")
        right.axhline(math.log(10), color="gray", linestyle=":", label="blind guess: ln 10")
        right.set(xlabel="epoch", title="training loss in nats, (b) and (c)", ylim=(0, None))
        right.legend(fontsize="small")

    return draw("Learning curves of the three losses, and the floor that (b) cannot pass.", paint, lang)
