"""Calls that launch the production variants of the Triton kernels, on tensors without memory."""

from collections.abc import Callable

import torch

from crossentropy._backends.chunked._linear import Head
from crossentropy._backends.triton import _head
from crossentropy._loss import LossSpec, Side
from crossentropy._planner import plan, Workload

MACHINES = {
    "sm_80": _head.Machine(_head.SMALL, 108, False),
    "sm_90": _head.Machine(_head.LARGE, 132, True),
    "sm_100": _head.Machine(_head.LARGE, 148, True),
    "gfx942": _head.Machine(_head.SMALL, 304, False),
}


def empty(*shape: int, dtype: torch.dtype = torch.bfloat16) -> torch.Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


def head(rows: int, features: int, classes: int, *, bias: bool = False, **options: float) -> Side:
    spec = LossSpec(class_dim=1, num_classes=classes, probabilities=False, dtype=torch.float32, **options)
    return Side(empty(rows, features), empty(classes, features), empty(classes) if bias else None, spec)


def label_logits(target: str) -> None:
    _head.label_logits(head(4096, 4096, 128256), empty(4096, dtype=torch.int64))


def scale(target: str) -> None:
    _head.scale_unless_one(empty(128256, 4096), empty(dtype=torch.float32))


def linear_rows(**how) -> Callable[[str], None]:
    options = how.pop("options", {})
    side = head(4096, 1024, 128256, **options)

    def call(target: str) -> None:
        work = Workload(rows=4096, classes=128256, dtype=torch.bfloat16, features=1024)
        made = Head(side, (False,) * 3, plan(work))
        _head.linear_rows(made, side.spec, empty(4096, dtype=torch.int64), MACHINES[target], **how)

    return call


VARIANTS: dict[str, Callable[[str], None]] = {
    "label logits bf16": label_logits,
    "scale unless one bf16": scale,
    "linear rows bf16": linear_rows(),
    "linear rows bf16, softcap and bias": linear_rows(options={"softcap": 30.0, "bias": True}),
    "linear rows bf16, token statistics": linear_rows(of_largest=True),
}
