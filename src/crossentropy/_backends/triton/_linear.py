"""What a linear head asks of kernels beside its products, and when: `_head` has them, and imports Triton."""

from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor

from crossentropy._backends import compiled
from crossentropy._backends.chunked import _linear
from crossentropy._backends.chunked._linear import Head
from crossentropy._backends.chunked._tile import Kernel, Setting, keep
from crossentropy._loss import product_dtype
from crossentropy._planner import Plan

_Kernel = TypeVar("_Kernel", compiled.CrossEntropy, compiled.TokenStatistics)

MOST_FEATURES = 1536
"""Up to which statistics of a head are made without stored logits. By a model of time, not by measurement: to write and
read them costs a third of the product at 1024 features, and 8 % at 4096; Triton's products take 15 to 25 % longer than
the library's."""


def exactly(kernel: _Kernel, setting: Setting) -> _Kernel:
    """A kernel that knows the labels' logits in float32, where a product leaves them in half precision."""
    side, label = setting.loss.sides[0], kernel.rows.given.target
    if label is None or side.weight is None or product_dtype(side).itemsize > 2:
        return kernel
    from crossentropy._backends.triton._head import label_logits

    logit = setting.rows(label_logits(side, label, setting.origin or 0))
    return replace(kernel, rows=kernel.rows._replace(given=kernel.rows.given._replace(logit=logit)))


def sweep_statistics(kernel: Kernel, head: Head, pieces: Plan, begin: int) -> None:
    """Statistics of rows, from logits that are not stored where that is faster."""
    from crossentropy._backends.triton._head import linear_rows, machine_of

    assert isinstance(kernel, (compiled.CrossEntropy, compiled.TokenStatistics))
    largest, given, machine = isinstance(kernel, compiled.TokenStatistics), kernel.rows.given, machine_of(head.hidden)
    plain = largest or (given.target is not None and kernel.statistics.weighted is None)
    if plain and machine.multiplies and _is_worthwhile(head, machine.tile.features):
        row = linear_rows(head, kernel.spec, given.target, machine, begin, of_largest=largest)
        keep(kernel.statistics, row)
    else:
        _linear.sweep_statistics(kernel, head, pieces, begin)


def _is_worthwhile(head: Head, multiple: int) -> bool:
    """Whether products of Triton's are to be preferred to the library's."""
    hidden, weight, features = head.hidden, head.head, head.hidden.shape[1]
    # float32 would be multiplied as TF32, but by the interpreter, which multiplies no bfloat16
    multiplied = weight.dtype == head.dtype and (head.dtype == torch.float32) == hidden.is_cpu
    together = features % multiple == 0 and hidden.stride(1) == weight.stride(2) == 1
    plain = head.positions == 1 and head.absent is None
    return multiplied and together and plain and 0 < hidden.numel() <= len(hidden) * MOST_FEATURES


def scale(gradient: Tensor, upstream: Tensor) -> bool:
    """Multiply a gradient by one number, in place, but not touch it where that is 1; and tell whether it was done."""
    order = sorted(range(gradient.dim()), key=gradient.stride, reverse=True)
    if gradient.dtype == torch.float64 or not gradient.permute(order).is_contiguous():
        return False
    from crossentropy._backends.triton._head import scale_unless_one

    scale_unless_one(gradient, upstream)
    return True
