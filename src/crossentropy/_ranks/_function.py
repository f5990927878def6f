"""A loss of which each rank has a slice of the classes, as one function for autograd.

    forward     measure this rank's classes → fold over the ranks → conclude: the same rows on every rank
    backward    derive this rank's classes from the folded statistics; the hidden states' gradient is summed over ranks

Nothing as large as the logits is kept, or sent. The sum of the hidden states' gradient begins while the products of
later rows are still computed: in buckets, whose number depends only on what all ranks share. The logits of a head are
computed again in backward.

Of hidden states that are spread along a sequence, each rank has a part: they are gathered first, and the rank's part of
the sum comes back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from crossentropy._dispatch import Slicing
from crossentropy._errors import ArgumentValueError
from crossentropy._logspace import wide
from crossentropy._loss import Collector, Loss, tensors_of, with_tensors
from crossentropy._ranks._fold import Shares, fold
from crossentropy._ranks._group import Group
from crossentropy._statistics import RowStatistics

BUCKET = 16 << 20
"""Bytes of the hidden states' gradient that are summed at once: enough that their transfer is not all latency."""


class Spread(NamedTuple):
    """How hidden states are spread along one of their axes: as torch.chunk cuts."""

    dim: int
    length: int
    """Of all parts."""


@dataclass(frozen=True)
class Share:
    """A rank's share of a loss."""

    backend: Slicing
    loss: Loss
    """Without its tensors; its shape is that of all logits."""
    shares: Shares
    reduces: bool = True
    """Whether the hidden states' gradient is summed, or left as this rank's part."""
    spread: Spread | None = None
    comm_dtype: torch.dtype | None = None
    """Of that sum; None: float32 or wider."""


def rows_of(share: Share, tensors: Loss, agreement: Tensor) -> tuple[Tensor, Tensor]:
    """The rows of a loss (K, rows), and their argmax for statistics."""
    rows, argmax, *_ = _Function.apply(share, agreement, *tensors_of(tensors))  # pyright: ignore[reportGeneralTypeIssues]
    return rows, argmax


class _Context(Protocol):
    """What autograd hands from forward to backward."""

    share: Share
    saved_tensors: tuple[Tensor, ...]
    needs_input_grad: tuple[bool, ...]

    def save_for_backward(self, *tensors: Tensor | None) -> None: ...
    def mark_non_differentiable(self, *tensors: Tensor) -> None: ...


class _Function(torch.autograd.Function):
    @staticmethod
    def forward(ctx: _Context, share: Share, agreement: Tensor, *tensors: Tensor | None) -> tuple[Tensor, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        tensors = _collected(share, tensors)
        loss, shares = with_tensors(share.loss, tensors), share.shares
        row, agree = fold(loss, share.backend.measure(loss, shares.begin), shares, agreement)
        result = share.backend.conclude(loss, row)
        rows = torch.where(agree, result.rows, torch.nan)
        argmax = rows.new_empty(0, dtype=torch.int64) if result.argmax is None else result.argmax
        ctx.share = share
        ctx.save_for_backward(agree, *tensors, *row)
        ctx.mark_non_differentiable(argmax)
        return rows, argmax

    @staticmethod
    def backward(ctx: _Context, upstream: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        agree, *saved = ctx.saved_tensors
        count = 2 + 3 * len(ctx.share.loss.sides)
        wanted = tuple(ctx.needs_input_grad[4:])
        with torch.no_grad():
            loss, row = with_tensors(ctx.share.loss, saved[:count]), RowStatistics(*saved[count:])
            found = _derived(ctx.share, loss, row, torch.where(agree, upstream, torch.nan), wanted)
        if torch.is_grad_enabled():
            found = tuple([None if g is None else _Final.apply(g, upstream, *saved[:count]) for g in found])
        return None, None, None, None, *found


class _Final(torch.autograd.Function):
    """A gradient whose derivative raises: of one rank alone it would be wrong.

    It depends on what the loss was computed of; torch's once_differentiable takes it for a constant.
    """

    @staticmethod
    def forward(ctx: _Context, gradient: Tensor, *of: Tensor | None) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx: _Context, *_: Tensor) -> None:
        raise ArgumentValueError(
            "the loss was differentiated twice, and its classes are cut over ranks, where only the first derivative is "
            "known — cut the rows instead, or use one process"
        )


def _collected(share: Share, tensors: Sequence[Tensor | None]) -> tuple[Tensor | None, ...]:
    """The tensors, with the hidden states of all rows."""
    if share.spread is None:
        return tuple(tensors)
    target, weight, hidden, *others = tensors
    assert hidden is not None
    return target, weight, _gather_parts(hidden, share.spread, share.shares.group), *others


def _derived(
    share: Share, loss: Loss, row: RowStatistics, coefficient: Tensor, wanted: tuple[bool, ...]
) -> tuple[Tensor | None, ...]:
    """Gradients of this rank's tensors, with the sum of the hidden states' over ranks."""
    group, begin, hidden = share.shares.group, share.shares.begin, loss.sides[0].input
    if loss.sides[0].weight is None or not wanted[0] or group.size == 1 or not (share.reduces or share.spread):
        return share.backend.derive(loss, begin, row, coefficient, wanted)
    total = _Total(hidden, group, share.comm_dtype, share.spread is None)
    _, *others = share.backend.derive(loss, begin, row, coefficient, wanted, Collector(total.buffer, total.filled))
    found = total.finish().view(hidden.shape)
    if share.spread is not None:
        found = _scatter_parts(found, share.spread, group)
    return found.to(hidden.dtype), *others


class _Total:
    """The sum over ranks of the hidden states' gradient, begun bucket by bucket as they are filled."""

    def __init__(self, hidden: Tensor, group: Group, dtype: torch.dtype | None, reduces: bool) -> None:
        flat = hidden.reshape(-1, hidden.shape[-1])
        self.buffer = torch.zeros(flat.shape, dtype=dtype or wide(hidden.dtype), device=hidden.device)
        self._group, self._reduces = group, reduces
        self._rows = max(1, BUCKET // max(self.buffer.itemsize * flat.shape[1], 1))
        self._begun = 0
        self._works = []

    def filled(self, end: int) -> None:
        """All rows up to `end` are there."""
        while self._reduces and self._begun + self._rows <= end:
            self._begin(self._begun + self._rows)

    def finish(self) -> Tensor:
        """All rows are there, and summed."""
        while self._reduces and self._begun < len(self.buffer):
            self._begin(min(self._begun + self._rows, len(self.buffer)))
        for work in self._works:
            if work is not None:
                work.wait()
        return self.buffer

    def _begin(self, end: int) -> None:
        self._works.append(self._group.start_total(self.buffer[self._begun : end]))
        self._begun = end


# --- hidden states along a sequence -------------------------------------------------------------------------------


def part(length: int, group: Group) -> int:
    """How long this rank's part of an axis is, as torch.chunk cuts it."""
    each = -(-length // group.size)
    return max(0, min(each, length - group.rank * each))


def _padded(x: Tensor, length: int) -> Tensor:
    """As many rows, with zeros after those that are there."""
    return torch.nn.functional.pad(x, [0, 0] * (x.dim() - 1) + [0, length - x.shape[0]])


def _gather_parts(x: Tensor, spread: Spread, group: Group) -> Tensor:
    each = -(-spread.length // group.size)
    every = group.gather(_padded(x.movedim(spread.dim, 0), each))
    return every.flatten(0, 1)[: spread.length].movedim(0, spread.dim)


def _scatter_parts(x: Tensor, spread: Spread, group: Group) -> Tensor:
    each = -(-spread.length // group.size)
    mine = group.scatter(_padded(x.movedim(spread.dim, 0), each * group.size))
    return mine[: part(spread.length, group)].movedim(0, spread.dim)
