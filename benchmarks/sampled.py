"""Sampled softmax at a recommender's shapes: time and peak memory, relative to the same by torch's operators.

    python benchmarks/sampled.py --items 1000000 --rows 4096 --negatives 8192

Interleaved in one process; medians of the ratios of several rounds, forward and backward. `sparse` gives the head a
sparse gradient; `whole` is the loss of all classes, for so many rows as `--whole` says, 0 for none.
"""

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as T
from torch import Tensor

from crossentropy import functional as F
from crossentropy.testing import peak_bytes


def composed(hidden: Tensor, items: Tensor, label: Tensor, negatives: Tensor) -> Tensor:
    """The loss as people write it, with its (rows, negatives) logits."""
    correct = (hidden * items[label]).sum(-1, keepdim=True)
    others = hidden @ items[negatives].T - math.log(len(negatives) / len(items))
    others = others.masked_fill(negatives == label[:, None], -math.inf)
    return T.cross_entropy(torch.cat([correct, others], 1), torch.zeros_like(label))


def contenders(arguments: argparse.Namespace) -> dict[str, Callable[[], object]]:
    """What is compared, by name; torch's comes first."""
    torch.manual_seed(0)
    hidden = torch.randn(arguments.rows, arguments.features, requires_grad=True)
    items = torch.randn(arguments.items, arguments.features, requires_grad=True)
    label = torch.randint(arguments.items, (arguments.rows,))
    negatives = torch.randint(arguments.items, (arguments.negatives,))
    log_q = torch.full((arguments.items,), -math.log(arguments.items))

    def sampled(sparse: bool) -> Tensor:
        return F.sampled_linear_cross_entropy(hidden, items, label, negatives=negatives, log_q=log_q, sparse=sparse)

    made: dict[str, Callable[[], Tensor]] = {
        "torch": lambda: composed(hidden, items, label, negatives),
        "dense": lambda: sampled(sparse=False),
        "sparse": lambda: sampled(sparse=True),
    }
    if arguments.whole:
        some = slice(0, arguments.whole)
        made["whole"] = lambda: F.linear_cross_entropy(hidden[some], items, label[some])

    def step(loss: Callable[[], Tensor]) -> object:
        return torch.autograd.grad(loss(), (hidden, items))

    return {name: lambda loss=loss: step(loss) for name, loss in made.items()}


def main() -> None:
    """Measure, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("items", 1_000_000), ("features", 64), ("rows", 4096), ("negatives", 8192)):
        parser.add_argument(f"--{name}", type=int, default=default)
    for name, default in (("whole", 0), ("rounds", 5), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    steps = contenders(arguments)
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(arguments.rounds + 1):  # the first one warms up
        for name, step in steps.items():
            begin = time.perf_counter()
            step()
            times[name].append(time.perf_counter() - begin)
    first = next(iter(steps))
    for name, step in steps.items():
        ratios = [a / b for a, b in zip(times[name][1:], times[first][1:])]
        result = {"seconds": statistics.median(times[name][1:]), "ratio": statistics.median(ratios)}
        print(json.dumps({"loss": name, **result, "peak_bytes": peak_bytes(step), **vars(arguments)}))


if __name__ == "__main__":
    main()
