"""How long the loss of a language model's head takes, by a model of its work: writes the table of docs/gpu.md.

    products     6 N D V FLOP at a card's rate; 8 where the logits are made twice
    logits       bytes of each that are read and written beside the products, at the card's bandwidth
    dW           for each chunk but the first, bytes of each entry that are read and written again

Forward and backward in bfloat16. Caches, launches, and multiprocessors that wait are left out. Nothing is measured.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch

from crossentropy._planner import CARDS, Machine, Workload, plan

TABLE = Path(__file__).parent / "results" / "cost_model.md"
SHAPES = ((4096, 4096, 128_256), (8192, 4096, 128_256), (32_768, 4096, 128_256), (8192, 2048, 256_000))


class Way(NamedTuple):
    """A way to compute it."""

    name: str
    flops: float
    logit: int
    """Bytes of each logit that are read and written."""
    head: int
    """Bytes of the head's gradient that are read and written again."""
    memory: int
    """Bytes beside inputs and gradients."""

    def seconds(self, card: Machine) -> float:
        """Its time."""
        return self.flops / card.flops + (self.logit + self.head) / card.bandwidth


def ours(name: str, n: int, d: int, v: int, budget: int | None) -> Way:
    """Ours as it is planned: a logit is read, and the gradient written in its place, once a sweep."""
    halves = torch.bfloat16
    work = Workload(n, v, halves, features=d, head_dtype=halves, machine=CARDS["H200"], in_place=True)
    found = plan(replace(work, input_gradient=True, head_gradient=True), budget)
    chunks = -(-n // found.chunk)
    again = 0 if found.second_sweep else (8 if found.widens else 4) * (chunks - 1) + 6 * found.widens
    return Way(name, found.flops, 4 * n * v * (1 + found.second_sweep), again * v * d, found.workspace)


def ways(n: int, d: int, v: int) -> Iterator[Way]:
    """Ours at three budgets, and what one would use instead."""
    products, logits, row = 6 * n * d * v, n * v, 2 * v * min(n, 4096)
    yield ours("crossentropy", n, d, v, None)
    yield ours("crossentropy, half of its logits", n, d, v, row // 2)
    # log_softmax 2 + 2, its gradient 2 + 2 + 2, the loss's 2
    yield Way("torch, logits in bfloat16", products, 12 * logits, 0, 6 * logits)
    # to float32 2 + 4, log_softmax 4 + 4, its gradient 4 + 4 + 4, the loss's 4, to bfloat16 4 + 2
    yield Way("torch, logits in float32", products, 36 * logits, 0, 12 * logits)
    yield Way("logits made twice, at 0.75 of the rate", products * 8 / 6 / 0.75, 0, 0, 4 * n)


def table() -> str:
    """The table: for each shape its floor, and times relative to it."""
    lines = [f"| N × D × V | | GB | {' | '.join(CARDS)} |", "|---" * (3 + len(CARDS)) + "|"]
    for n, d, v in SHAPES:
        floors = [6 * n * d * v / card.flops for card in CARDS.values()]
        times = " | ".join(f"{1e3 * floor:.1f} ms" for floor in floors)
        lines.append(f"| {n:,} × {d:,} × {v:,} | the three products | | {times} |")
        for way in ways(n, d, v):
            ratios = [f"{way.seconds(card) / floor:.2f}" for card, floor in zip(CARDS.values(), floors)]
            lines.append(f"| | {way.name} | {way.memory / 1e9:.1f} | {' | '.join(ratios)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    TABLE.write_text(table(), "utf-8")
