"""Act 3, a language model: a tied head over many words, with torch's loss on full logits and with ours, two ways.

    hᵢ = GRU(E[words before i])        logits = h Eᵀ        loss = −log softmax(logits)[word i], per word

E the embedding (V, D), which is the head too. Each program trains the same model from the same seed.
"""

import math
import re
import sys
import sysconfig
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as torch_functional
from torch import Tensor

from crossentropy import _disk, functional, fuse, information
from crossentropy._languages import Language
from crossentropy._progress import Progress
from crossentropy.demo.report import Figure, Section, Table, draw, translated
from crossentropy.testing import peak_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure as MatplotlibFigure

VOCABULARY, FEATURES, SENTENCES, WORDS, LEARNING_RATE = 16_384, 64, 16, 16, 0.01
HELD_OUT = 20  # one word in so many is kept for the test
TEST_EXCERPTS = 1_600  # of them, at most so many excerpts are used
FEWEST_WORDS = 2_000
NOT_LIBRARY = {"site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3", "ensurepip", "__pycache__"}


class UnusableTextError(ValueError):
    """A text from which no language model can be trained."""


@dataclass(frozen=True)
class Corpus:
    """Words as indices into a vocabulary, in which 0 stands for all rare words."""

    source: str
    words: Tensor
    vocabulary: int

    @property
    def unigram_nats(self) -> float:
        """Entropy of the word frequencies: the loss of a model that knows nothing else."""
        counts = self.words.bincount(minlength=self.vocabulary).double()
        return information.entropy(counts / counts.sum()).item()


@dataclass(frozen=True)
class Training:
    """What one training came to."""

    program: str
    losses: tuple[float, ...]
    test_nats: float
    test_words: int
    words_per_second: float
    peak_bytes: int
    """Most memory held at one time by the tensors that one step, forward and backward, makes."""
    disagreement: float
    """Largest difference between ours and torch's loss for the same parameters, on test words; relative above 1 nat."""

    @property
    def agrees(self) -> bool:
        """Whether the losses are equal to rounding: a sum of V terms in float32, in two orders."""
        return self.disagreement < 1e-5


def library_source() -> str:
    """The source of Python's standard library: code and prose that every installation carries."""
    root = Path(sysconfig.get_path("stdlib"))
    files = sorted(path for path in root.rglob("*.py") if not NOT_LIBRARY & set(path.relative_to(root).parts))
    return "\n".join(path.read_text("utf-8", errors="replace") for path in files)


def load(path: Path | None) -> Corpus:
    """The words of a text file, or of Python's own library."""
    if path is None:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        source, text = f"the source of Python {version}'s library", library_source()
    else:
        source = path.name
        try:
            kind = _disk.kind(path)
            if kind not in ("file", "folder"):  # reading one may never end
                raise UnusableTextError(f"cannot read {path}: a {kind}, expected a file")
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UnusableTextError(
                f"cannot read {path}: {getattr(error, 'strerror', None) or 'not UTF-8 text'}"
            ) from None
    words = re.findall(r"\w+|[^\w\s]", text)
    if len(words) < FEWEST_WORDS:
        raise UnusableTextError(f"{source} has {len(words)} words, expected at least {FEWEST_WORDS}")
    index = {word: i for i, (word, _) in enumerate(Counter(words).most_common(VOCABULARY - 1), start=1)}
    return Corpus(source, torch.tensor([index.get(word, 0) for word in words]), len(index) + 1)


class Model(torch.nn.Module):
    """A recurrent language model, whose head is its embedding."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.embedding: torch.nn.Embedding = torch.nn.Embedding(vocabulary, FEATURES)
        torch.nn.init.normal_(self.embedding.weight, std=FEATURES**-0.5)
        self.recurrence: torch.nn.GRU = torch.nn.GRU(FEATURES, FEATURES, batch_first=True)
        self.head: torch.nn.Linear = torch.nn.Linear(FEATURES, vocabulary, bias=False)
        self.head.weight = self.embedding.weight

    def hidden(self, words: Tensor) -> Tensor:
        """Hidden states (N, T, D) that predict the word after each of `words` (N, T)."""
        return self.recurrence(self.embedding(words))[0]

    def forward(self, words: Tensor) -> Tensor:
        """Logits (N, T, V)."""
        return self.head(self.hidden(words))


def linear_loss(model: Model, words: Tensor, target: Tensor) -> Tensor:
    """Our loss: hidden states and head, in one function."""
    return functional.linear_cross_entropy(model.hidden(words), model.head.weight, target)


def full_logits_loss(model: Model, words: Tensor, target: Tensor) -> Tensor:
    """The loss of torch, of the full logits."""
    return torch_functional.cross_entropy(model(words).flatten(0, 1), target.flatten())


@dataclass(frozen=True)
class Program:
    """A way to train the model."""

    loss: Callable[[Model, Tensor, Tensor], Tensor]
    prepare: Callable[[Model], Model]


PROGRAMS = {
    "ours, linear": Program(linear_loss, lambda model: model),
    "torch, full logits": Program(full_logits_loss, lambda model: model),
    "torch + fuse(model)": Program(full_logits_loss, fuse),
}


class Trainer:
    """A model in training by one of the programs."""

    def __init__(self, name: str, vocabulary: int, seed: int) -> None:
        self.name: str = name
        self.program: Program = PROGRAMS[name]
        torch.manual_seed(seed)
        self.model: Model = self.program.prepare(Model(vocabulary))
        self.optimizer: torch.optim.Optimizer = torch.optim.Adam(self.model.parameters(), LEARNING_RATE)
        self.losses: list[float] = []
        self.seconds: float = 0.0

    def step(self, text: Tensor) -> None:
        """Train on some excerpts."""
        begin = time.perf_counter()
        self.losses.append(self._forward_and_backward(text).item())
        self.optimizer.step()
        self.seconds += time.perf_counter() - begin

    def _forward_and_backward(self, text: Tensor) -> Tensor:
        loss = self.program.loss(self.model, text[:, :-1], text[:, 1:])
        self.optimizer.zero_grad()
        loss.backward()
        return loss

    def finish(self, test_words: Tensor) -> Training:
        """What the training came to."""
        text = _excerpts(test_words, torch.arange(SENTENCES))
        self.optimizer.zero_grad()
        peak = peak_bytes(lambda: self._forward_and_backward(text))
        nats, disagreements = 0.0, []
        starts = torch.arange(0, len(test_words) - WORDS, WORDS)[:TEST_EXCERPTS]
        with torch.no_grad():
            for some in starts.split(SENTENCES):
                text = _excerpts(test_words, some)
                value = self.program.loss(self.model, text[:, :-1], text[:, 1:]).item()
                logits = self.model.hidden(text[:, :-1]) @ self.model.head.weight.T
                torchs = torch_functional.cross_entropy(logits.flatten(0, 1), text[:, 1:].flatten()).item()
                nats += value * len(some) / len(starts)
                disagreements.append(abs(value - torchs) / max(torchs, 1.0))
        speed = len(self.losses) * SENTENCES * WORDS / self.seconds
        return Training(self.name, tuple(self.losses), nats, len(starts) * WORDS, speed, peak, max(disagreements))


def _excerpts(words: Tensor, starts: Tensor) -> Tensor:
    """Excerpts (N, T + 1) of T words, each with the one that follows."""
    return words[starts[:, None] + torch.arange(WORDS + 1)]


def run(corpus: Corpus, steps: int, seed: int, progress: Progress) -> list[Training]:
    """Train with each of the programs, in turns, so that what else the machine does is shared."""
    cut = len(corpus.words) // HELD_OUT
    test_words, training_words = corpus.words[:cut], corpus.words[cut:]
    trainers = [Trainer(name, corpus.vocabulary, seed) for name in PROGRAMS]
    for step in range(steps):
        text = _excerpts(training_words, torch.randint(len(training_words) - WORDS, (SENTENCES,)))
        for trainer in trainers:
            trainer.step(text)
        progress("three trainings, in turns", step + 1, steps)
    tested = []
    for trainer in trainers:
        progress("testing the three models", len(tested), len(trainers))
        tested.append(trainer.finish(test_words))
    return tested


def section(corpus: Corpus, trainings: list[Training], lang: Language = "en") -> Section:
    """The act as text, a table and a curve."""
    steps = len(trainings[0].losses)
    rows = (
        ("loss of the first step", *(f"{t.losses[0]:.6f} nat" for t in trainings)),
        ("loss of the last step", *(f"{t.losses[-1]:.6f} nat" for t in trainings)),
        (f"loss on {trainings[0].test_words:,} test words", *(f"{t.test_nats:.4f} nat" for t in trainings)),
        ("… bits per word", *(f"{t.test_nats / math.log(2):.4f}" for t in trainings)),
        ("… perplexity", *(f"{math.exp(t.test_nats):.1f}" for t in trainings)),
        ("words per second", *(f"{t.words_per_second:,.0f}" for t in trainings)),
        ("peak memory of a step", *(f"{t.peak_bytes / 1e6:.0f} MB" for t in trainings)),
    )
    disagreement = max(t.disagreement for t in trainings)
    english = Section(
        "3. A language model",
        (
            f"Trained on {corpus.source}: {len(corpus.words):,} words, a vocabulary of {corpus.vocabulary:,}. A "
            f"recurrent model with {FEATURES} features and a tied head, {steps} steps of {SENTENCES} × {WORDS} words. "
            f"Knowing only how frequent each word is costs {corpus.unigram_nats:.4f} nat per word.",
            Table(("", *(t.program for t in trainings)), rows),
            _curve(trainings, corpus.unigram_nats, lang),
            f"For the same parameters the losses agree to {disagreement:.0e}: one rounding of float32 is 6e-08. "
            "Trainings from one seed drift apart slowly, because roundings differ.",
            "Ours is linear_cross_entropy, of hidden states and head; torch is cross_entropy on full logits. "
            "Our loss never builds the logits: it makes them chunk by chunk and turns each chunk into gradients at "
            "once, hence the memory shown. The last column is torch's program, unchanged but for crossentropy.fuse: "
            "the model's head returns logits that wait to be asked for, and the loss does not ask.",
            "Cross entropy per word in nats, divided by ln 2, is bits per word; its exponential is the perplexity, the "
            "number of equally likely words among which the model is left to guess.",
        ),
    )
    return translated(english, lang)


def _curve(trainings: list[Training], unigram_nats: float, lang: Language) -> Figure:
    def paint(canvas: "MatplotlibFigure") -> None:
        axes = canvas.subplots()
        for training, style in zip(trainings, ("-", ":", "--")):
            axes.plot(range(1, len(training.losses) + 1), training.losses, style, label=training.program)
        axes.axhline(unigram_nats, color="gray", linestyle="-.", label="word frequencies alone")
        axes.set(xlabel="step", ylabel="nats per word", title="training loss")
        axes.legend(fontsize="small")

    return draw("The trainings, from the same seed.", paint, lang)
