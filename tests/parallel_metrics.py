"""Metrics of a corpus that is spread over processes: those of one process that has all of it.

Each function is a case, which all processes run; `test_parallel.py` starts them, `test_metrics.py` has the other tests.
"""

import functools
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from crossentropy.metrics import (
    Accuracy,
    BitsPerByte,
    BitsPerCharacter,
    BitsPerToken,
    ExpectedCalibrationError,
    Perplexity,
    TopKAccuracy,
)

METRICS: dict[str, Callable[..., Any]] = {
    "perplexity": Perplexity,
    "bits_per_token": BitsPerToken,
    "bits_per_byte": BitsPerByte,
    "bits_per_character": BitsPerCharacter,
    "accuracy": Accuracy,
    "top_3": functools.partial(TopKAccuracy, 3),
    "calibration": functools.partial(ExpectedCalibrationError, 5),
}
EXACT = {"rtol": 1e-12, "atol": 0.0}
"""float64 sums of some hundred terms in another order: 1e-16 a term, 1e-14 in all; and two decimals to spare."""


def corpus(rows: int = 200, classes: int = 7) -> dict[str, Tensor]:
    """Logits, labels of which some are ignored, weights of which some are 0, lengths."""
    made = torch.Generator().manual_seed(0)
    target = torch.randint(classes, (rows,), generator=made)
    target[torch.rand(rows, generator=made) < 0.2] = -100
    weight = torch.rand(rows, generator=made) * (torch.rand(rows, generator=made) < 0.8)
    logits = 2 * torch.randn(rows, classes, generator=made)
    return {
        "input": logits,
        "target": target,
        "token_weight": weight,
        "units": torch.randint(1, 9, (rows,), generator=made),
    }


def update(metric: Any, data: dict[str, Tensor], rows: Any = slice(None)) -> None:
    part = {name: x[rows] for name, x in data.items()}
    units = part.pop("units")
    named = {BitsPerByte: {"num_bytes": units}, BitsPerCharacter: {"num_characters": units}}.get(type(metric), {})
    metric.update(**part, **named)


def whole(name: str, data: dict[str, Tensor]) -> Tensor:
    metric = METRICS[name]()
    update(metric, data)
    return metric.compute()


def spread(name: str) -> None:
    data, metric, rank = corpus(), METRICS[name](), dist.get_rank()
    for part in ((slice(0, 31), slice(31, 60)), (slice(60, 60), slice(60, 190)), (slice(190, 200),)):
        if rank < len(part):  # the second process has one batch fewer
            update(metric, data, part[rank])
    mine = {key: x.clone() for key, x in metric.metric_state.items()}
    expected = METRICS[name](sync_on_compute=False)
    update(expected, data)
    torch.testing.assert_close(metric.compute(), expected.compute(), **EXACT)
    if isinstance(metric, ExpectedCalibrationError):
        torch.testing.assert_close(metric.reliability().weight, expected.weight, **EXACT)
        assert metric.plot()[1].get_title() == f"ECE {metric.compute():.3f}"
    assert all(x.equal(mine[key]) for key, x in metric.metric_state.items())  # each has its part again


CASES = {f"metric {name}": functools.partial(spread, name) for name in METRICS}
