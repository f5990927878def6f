"""Plans of language models' heads on four cards, as a table: writes docs/plans.md. Nothing is measured."""

from itertools import product
from pathlib import Path

from crossentropy._backends import triton
from crossentropy._benchmark import Case, plan_of, predicted_seconds
from crossentropy._forecast import forecast
from crossentropy._planner import CARDS

PAGE = Path(__file__).parent.parent / "docs" / "plans.md"

HEADS = ((2048, 32_000), (4096, 32_000), (4096, 128_256), (8192, 128_256), (896, 151_936), (2048, 256_000))
SHAPES = [(n, d, v) for (d, v), n in product(HEADS, (1024, 4096, 8192, 12_288, 32_768))]

TEXT = """# Plans on four cards

How a language model's head is cut on an accelerator, forward and backward in bfloat16, by `benchmarks/plans.py`; a test
holds that these are the plans. `crossentropy plan` prints any other, of given logits too (`--shape N,C`), beside the
memory that torch's own functions take. Gradients count, unless there is `--forward`; `--memory 2GB` bounds the
workspace; without `--device` the plan is for this machine's CPU, whose rates are measured; `--json` is for programs.

```sh
crossentropy plan --shape 8192,4096,128256 --dtype bfloat16 --device H200
```

```text
{example}
```

The times are **predictions**, of a model that was not compared with a card: three products at the card's rate; each
logit read, and its gradient written in its place; and the head's gradient read and written again for each chunk but the
first. The *floor* is the products alone.

Chunks hold at least 4,096 rows, of even size, in multiples of 1,024, with 512 MB at least. In one or two chunks the
head's gradient is collected in bfloat16, in more in float32.
"""


def row(shape: tuple[int, int, int]) -> str:
    """One shape: its plan, the same on all cards, and for each the predicted time and its ratio to the floor."""
    case = Case("head", shape, "bfloat16")
    plan = plan_of(case, "cuda", None, triton)[1]
    chunks = -(-shape[0] // plan.chunk)
    cells = [
        f"{shape[0]:,} × {shape[1]:,} × {shape[2]:,}",
        f"{chunks} of {plan.chunk:,}",
        "float32" if plan.widens else "bfloat16",
        f"{plan.workspace / 1e9:.2f}",
    ]
    for card in CARDS.values():
        seconds = predicted_seconds(case, plan, card)
        cells.append(f"{1e3 * seconds:.1f} ({seconds * card.flops / plan.flops:.2f})")
    return f"| {' | '.join(cells)} |"


def page() -> str:
    """The whole page."""
    heading = ["N × D × V", "chunks", "gradient of the head in", "workspace, GB"]
    heading += [f"{name}, ms (× floor)" for name in CARDS]
    lines = [f"| {' | '.join(heading)} |", f"|{'---|' * len(heading)}", *map(row, SHAPES)]
    example = forecast(Case("head", (8192, 4096, 128_256), "bfloat16"), "H200", None)
    return f"{TEXT.format(example=example)}\n{chr(10).join(lines)}\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
