"""The Triton backend: the chunked backend's sweeps, with tiles that Triton's kernels work on, on a GPU.

    _rows       the kernel that does a job: statistics, loss and gradient of rows in one launch
    _lanes      how a row is summed while it is read; _elementary, with which functions
    _launch     how a job is cut into programs
    _head       kernels beside the products of a linear head

Triton comes with torch where there is a GPU, and is imported when a kernel is first run. The host waits for nothing:
what is on the device, kernels read there. With TRITON_INTERPRET=1 Triton interprets kernels, slowly, which is how they
are tested on a CPU.
"""

import importlib.util
import os
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor

from crossentropy._backends import chunked, compiled
from crossentropy._backends.chunked import _linear
from crossentropy._backends.chunked._engine import Engine
from crossentropy._backends.chunked._linear import Head
from crossentropy._backends.chunked._tile import Kernel, Setting, keep
from crossentropy._backends.triton._launch import run
from crossentropy._loss import Loss, product_dtype
from crossentropy._planner import Plan

_Kernel = TypeVar("_Kernel", compiled.CrossEntropy, compiled.TokenStatistics)

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
MISSING = "" if importlib.util.find_spec("triton") else "Triton is not installed, which comes with torch for GPUs"


def eligible(loss: Loss) -> tuple[str, ...]:
    """Reasons why this backend cannot execute a loss; none if it can."""
    if MISSING:
        return (MISSING,)
    reasons = [*chunked.eligible(loss), *compiled.reasons(loss)]
    device = loss.sides[0].input.device
    if device.type != "cuda" and not (INTERPRETED and device.type == "cpu"):
        reasons.append(f"Triton's kernels are for GPUs, and the logits are on {device}")
    return tuple(reasons)


class _CrossEntropy(compiled.CrossEntropy):
    run = staticmethod(run)

    @classmethod
    def of(cls, setting: Setting) -> compiled.CrossEntropy:
        return _exactly(super().of(setting), setting)


class _TokenStatistics(compiled.TokenStatistics):
    run = staticmethod(run)

    @classmethod
    def of(cls, setting: Setting) -> compiled.TokenStatistics:
        return _exactly(super().of(setting), setting)


def _exactly(kernel: _Kernel, setting: Setting) -> _Kernel:
    """A kernel that knows the labels' logits in float32, where a product leaves them in half precision."""
    side, label = setting.loss.sides[0], kernel.rows.given.target
    if label is None or side.weight is None or product_dtype(side).itemsize > 2:
        return kernel
    from crossentropy._backends.triton._head import label_logits

    logit = setting.rows(label_logits(side, label, setting.origin or 0))
    return replace(kernel, rows=kernel.rows._replace(given=kernel.rows.given._replace(logit=logit)))


MOST_FEATURES = 1536
"""Up to which statistics of a head are made without stored logits. By a model of time, not by measurement: to write and
read them costs a third of the product at 1024 features, and 8 % at 4096; Triton's products take 15 to 25 % longer than
the library's."""


def _sweep_statistics(kernel: Kernel, head: Head, pieces: Plan, begin: int) -> None:
    """Statistics of rows, from logits that are not stored where that is faster."""
    assert isinstance(kernel, (_CrossEntropy, _TokenStatistics))
    largest, given = isinstance(kernel, _TokenStatistics), kernel.rows.given
    plain = largest or (given.target is not None and kernel.statistics.weighted is None)
    hidden, dtype = head.hidden, head.dtype
    # float32 would be multiplied as TF32, but by the interpreter, which multiplies no bfloat16
    multiplies = dtype == head.head.dtype and (dtype == torch.float32) == hidden.is_cpu
    few = head.positions == 1 and 0 < hidden.numel() <= len(hidden) * MOST_FEATURES
    if not (plain and multiplies and few):
        _linear.sweep_statistics(kernel, head, pieces, begin)
        return
    from crossentropy._backends.triton._head import linear_rows, machine_of

    machine = machine_of(hidden.device)
    keep(kernel.statistics, linear_rows(head, kernel.spec, given.target, machine, begin, of_largest=largest))


def scale(gradient: Tensor, upstream: Tensor) -> bool:
    """Multiply a gradient by one number, in place, but not touch it where that is 1; and tell whether it was done."""
    order = sorted(range(gradient.dim()), key=gradient.stride, reverse=True)
    if gradient.dtype == torch.float64 or not gradient.permute(order).is_contiguous():
        return False
    from crossentropy._backends.triton._head import scale_unless_one

    scale_unless_one(gradient, upstream)
    return True


_engine = Engine(
    {"cross_entropy": _CrossEntropy.of, "statistics": _TokenStatistics.of}, compiled.plan, _sweep_statistics
)

plan, execute, empty_gradient = _engine.plan, _engine.execute, _engine.empty_gradient
room, measure, conclude, compare, derive = (
    _engine.room, _engine.measure, _engine.conclude, _engine.compare, _engine.derive
)  # fmt: skip
