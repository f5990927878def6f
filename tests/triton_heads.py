"""What Triton's kernels of a head are launched with, on each target: see `triton_variants`, where those of rows are."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

import triton_variants
from crossentropy._backends.chunked._linear import Head
from crossentropy._backends.triton import _head
from crossentropy._loss import LossSpec, Side
from crossentropy._planner import Workload, plan
from triton_variants import Variant

MACHINES = {
    "sm_80": _head.Machine(_head.LARGE, 108, False),
    "sm_90": _head.Machine(_head.LARGE, 132, True),
    "sm_100": _head.Machine(_head.LARGE, 148, True),
    "gfx942": _head.Machine(_head.SMALL, 304, False),
}


@contextlib.contextmanager
def caught() -> Iterator[list[tuple[Any, int, dict[str, Any]]]]:
    """The kernels that a block of code launches, their warps and arguments; none is launched."""
    launches: list[tuple[Any, int, dict[str, Any]]] = []
    start = _head.start
    _head.start = lambda kernel, on, programs, warps, arguments: launches.append((kernel, warps, arguments))
    try:
        yield launches
    finally:
        _head.start = start


def new(*shape: int, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


def side_of(rows: int, features: int, classes: int, *, bias: bool = False, **options: Any) -> Side:
    spec = LossSpec(1, classes, False, torch.float32, **options)
    return Side(new(rows, features), new(classes, features), new(classes) if bias else None, spec)


def linear_rows(target: str, *, features: int = 1024, largest: bool = False, **options: Any) -> None:
    side = side_of(4096, features, 128256, **options)
    work = Workload(rows=4096, classes=128256, dtype=torch.bfloat16, features=features)
    head = Head(side, (False,) * 3, plan(work))
    _head.linear_rows(head, side.spec, new(4096, dtype=torch.int64), MACHINES[target], of_largest=largest)


def heads(target: str) -> list[Variant]:
    """Those of ordinary calls on a target."""
    label, one = new(4096, dtype=torch.int64), new(dtype=torch.float32)
    calls: dict[str, Callable[[], None]] = {
        "label logits bf16": lambda: _head.label_logits(side_of(4096, 4096, 128256), label),
        "label logits bf16, bias": lambda: _head.label_logits(side_of(4096, 896, 151936, bias=True), label),
        "scale unless one bf16": lambda: _head.scale_unless_one(new(128256, 4096), one),
        "scale unless one fp32": lambda: _head.scale_unless_one(new(128256, 4096, dtype=torch.float32), one),
        "linear rows bf16": lambda: linear_rows(target),
        "linear rows bf16, 1536 features": lambda: linear_rows(target, features=1536),
        "linear rows bf16, softcap and bias": lambda: linear_rows(target, softcap=30.0, bias=True),
        "linear rows bf16, token statistics": lambda: linear_rows(target, largest=True),
    }
    found = []
    for name, call in calls.items():
        with caught() as launches:
            call()
        ((kernel, warps, arguments),) = launches
        found.append(triton_variants.of(name, kernel, arguments, warps))
    return found
