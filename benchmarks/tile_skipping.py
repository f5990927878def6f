"""Which tiles of the gradient of a head's logits could be left out, and what would be lost with them.

    P_rt = Σ_{c ∈ t} p_rc      the mass that a row r has in a tile of classes t, known when the statistics are

    a bound δ       tiles in order of their largest P, while no row loses more than δ; none that holds one of its labels
    a threshold     tiles all of whose entries |p − y| are below 2⁻¹², the rule of cut-cross-entropy

Writes results/tile_skipping.md, the table of docs/design/tile-skipping.md, in half a minute of one CPU core.
"""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from crossentropy.demo import language

TABLE = Path(__file__).parent / "results" / "tile_skipping.md"
ROWS, VOCABULARY, RANK = 512, 65_536, 64
TILE = (128, 256)
"""Rows and classes."""
EFFICIENCY = 0.85
"""Rate of a product that leaves tiles out, relative to the library's."""


class Batch(NamedTuple):
    """Probabilities (N, V) and labels (N)."""

    p: Tensor
    label: Tensor

    @property
    def nats(self) -> float:
        """The loss."""
        return -self.p.gather(1, self.label[:, None]).log().mean().item()

    def sorted(self) -> "Batch":
        """Classes in order of their mean logits, as cut-cross-entropy sorts them."""
        order = self.p.log().mean(0).argsort(descending=True)
        return Batch(self.p[:, order], order.argsort()[self.label])


def tiles(x: Tensor) -> Tensor:
    """What belongs to logits (N, V) as (blocks of rows, rows, tiles, classes)."""
    rows, classes = TILE
    return x.view(x.shape[0] // rows, rows, x.shape[1] // classes, classes)


def bounded(batch: Batch, most: float) -> Tensor:
    """The tiles (blocks, tiles) that may go so that no row loses more than `most`."""
    mass = tiles(batch.p).sum(-1)
    labels = torch.zeros_like(batch.p).scatter_(1, batch.label[:, None], torch.inf)
    order = (mass + tiles(labels).amax(-1)).amax(1).argsort(-1)
    lost = mass.gather(2, order[:, None].expand_as(mass)).cumsum(-1).amax(1)
    lost += tiles(labels).amax((1, 3)).gather(1, order)
    return torch.zeros_like(lost, dtype=torch.bool).scatter_(1, order, lost <= most)


def below(batch: Batch, threshold: float) -> Tensor:
    """The tiles all of whose entries of the gradient are smaller."""
    gradient = batch.p.scatter_add(1, batch.label[:, None], -torch.ones_like(batch.p[:, :1]))
    return tiles(gradient.abs()).amax((1, 3)) < threshold


class Outcome(NamedTuple):
    """What leaving out tiles comes to."""

    kept: float
    """Of the tiles."""
    mass: float
    """Most that a row loses of its probability."""
    classes: float
    """Share of those that lose more than half of what pushes them down, Σ_r p_rc."""

    @property
    def speed(self) -> float:
        """Of forward and backward: of three products two are of the tiles that stay."""
        return 6 / (2 + 4 * self.kept / EFFICIENCY)


def outcome(batch: Batch, dropped: Tensor) -> Outcome:
    """Of leaving out these tiles."""
    p, gone = tiles(batch.p), dropped[:, None, :, None]
    lost = torch.where(gone, p, 0.0)
    share = lost.sum((0, 1)) / p.sum((0, 1))
    return Outcome(
        1 - dropped.double().mean().item(), lost.sum((2, 3)).max().item(), (share > 0.5).double().mean().item()
    )


# --- logits -------------------------------------------------------------------------------------------------------


def synthetic(unigram: float, context: float, *, shuffled: bool = True) -> Batch:
    """Zipf's prior over classes, in random order or by frequency, and Gaussian scores of rank 64; labels follow p."""
    generator = torch.Generator().manual_seed(0)
    prior = -torch.log(torch.arange(VOCABULARY) + 2.7)
    if shuffled:
        prior = prior[torch.randperm(VOCABULARY, generator=generator)]
    rows, classes = (torch.randn(n, RANK, generator=generator) for n in (ROWS, VOCABULARY))
    p = (unigram * prior + context * (rows @ classes.T) / RANK**0.5).softmax(1)
    return Batch(p, p.multinomial(1, generator=generator)[:, 0])


def trained(steps: tuple[int, ...]) -> dict[str, Batch]:
    """The demonstration's language model after some steps, on words that were held out; ids are by frequency."""
    corpus = language.load(None)
    cut = len(corpus.words) // language.HELD_OUT
    trainer = language.Trainer("ours, linear", corpus.vocabulary, seed=0)
    found, held_out = {}, corpus.words[: ROWS + 1]
    for step in range(max(steps) + 1):
        if step in steps:
            with torch.no_grad():
                p = trainer.model(held_out[None, :-1])[0].softmax(1)
            found[f"a trained model, V = {corpus.vocabulary:,}, after {step} steps"] = Batch(p, held_out[1:])
        starts = torch.randint(cut, len(corpus.words) - language.WORDS, (language.SENTENCES,))
        trainer.step(corpus.words[starts[:, None] + torch.arange(language.WORDS + 1)])
    return found


def batches() -> dict[str, Batch]:
    """What is looked at, by name."""
    return {
        "initialisation": synthetic(0.0, 0.1),
        "word frequencies alone, ids by frequency": synthetic(1.0, 0.0, shuffled=False),
        "word frequencies alone": synthetic(1.0, 0.0),
        "early": synthetic(1.0, 1.5),
        "middle": synthetic(1.0, 2.5),
        "late": synthetic(1.0, 3.5),
        "very sharp": synthetic(1.0, 5.0),
        **trained((0, 30, 300)),
    }


# --- the table ----------------------------------------------------------------------------------------------------


def row(name: str, batch: Batch) -> str:
    """One line of the table."""
    cells = [name, f"{batch.nats:.1f}", f"{outcome(batch, bounded(batch, 2**-12)).kept:.2f}"]
    for one, dropped in (
        (batch, bounded(batch, 2**-8)),
        (batch, below(batch, 2**-12)),
        (found := batch.sorted(), below(found, 2**-12)),
    ):
        result = outcome(one, dropped)
        cells.append(f"{result.kept:.2f}")
        if result.kept < 1:
            cells[-1] += f" · {result.mass:.2g} · {result.classes:.0%} · {result.speed:.2f}"
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Write the table."""
    heading = ("logits", "loss", "δ = 2⁻¹²", "δ = 2⁻⁸", "threshold 2⁻¹²", "the same, classes sorted")
    lines = [f"| {' | '.join(heading)} |", "|---" * len(heading) + "|"]
    for name, batch in batches().items():
        lines.append(row(name, batch))
        print(lines[-1], flush=True)
    TABLE.write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
