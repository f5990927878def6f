"""How long the loss of a language model's head takes, by a model of its work: writes the table of docs/gpu.md.

    products     6 N D V FLOP at a card's rate; 8 where the logits are made twice
    logits       what is read and written of them beside the products, at the card's bandwidth
    dW           what is read and written again of it for each chunk but the first

Forward and backward in bfloat16. Caches, launches, and multiprocessors that wait are left out. Nothing is measured.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from crossentropy._backends import triton
from crossentropy._benchmark import Case, moved_bytes, plan_of
from crossentropy._planner import CARDS, H200, Machine

TABLE = Path(__file__).parent / "results" / "cost_model.md"
SHAPES = ((4096, 4096, 128_256), (8192, 4096, 128_256), (32_768, 4096, 128_256), (8192, 2048, 256_000))


class Way(NamedTuple):
    """A way to compute it."""

    name: str
    flops: float
    moved: float
    """Bytes that are read and written beside the products."""
    memory: int
    """Bytes beside inputs and gradients."""

    def seconds(self, card: Machine) -> float:
        """Its time."""
        return self.flops / card.flops + self.moved / card.bandwidth


def ours(name: str, shape: tuple[int, int, int], budget: int | None) -> Way:
    """Ours, as it is planned."""
    case = Case("head", shape, "bfloat16")
    plan = plan_of(case, "cuda", budget, triton)[1]
    return Way(name, plan.flops, moved_bytes(case, plan, H200), plan.workspace)


def ways(n: int, d: int, v: int) -> Iterator[Way]:
    """Ours in two budgets, and what one would use instead."""
    products, logits = 6 * n * d * v, n * v
    yield ours("crossentropy", (n, d, v), None)
    yield ours("crossentropy, chunks of 2,048 rows", (n, d, v), 2 * 2048 * v)
    # log_softmax 2 + 2, its gradient 2 + 2 + 2, the loss's 2
    yield Way("torch, logits in bfloat16", products, 12 * logits, 6 * logits)
    # to float32 2 + 4, log_softmax 4 + 4, its gradient 4 + 4 + 4, the loss's 4, to bfloat16 4 + 2
    yield Way("torch, logits in float32", products, 36 * logits, 12 * logits)
    yield Way("logits made twice, at 0.75 of the rate", products * 8 / 6 / 0.75, 0, 4 * n)


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
