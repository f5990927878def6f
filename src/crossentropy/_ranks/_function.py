"""A loss of which each rank has a slice of the classes, as one function for autograd.

    forward     measure this rank's classes → fold over the ranks → conclude: the same rows on every rank
    backward    derive this rank's classes from the folded statistics; the hidden states' gradient is summed over ranks

Nothing as large as the logits is sent; how hidden states and their gradient travel, `_hidden` says. The logits of a
head are kept for backward if this rank's fit into the memory budget, and else computed again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from crossentropy._dispatch import Slicing
from crossentropy._loss import FIXED, Loss, Side, tensors_of, with_tensors
from crossentropy._ranks._fold import Shares, fold, fold_both
from crossentropy._ranks._hidden import Spread, Total
from crossentropy._statistics import Comparison, RowStatistics


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


class _Context(Protocol):
    """What autograd hands from forward to backward."""

    share: Share
    kept: Tensor | None
    """The logits that a head made."""
    saved_tensors: tuple[Tensor, ...]
    needs_input_grad: tuple[bool, ...]

    def save_for_backward(self, *tensors: Tensor | None) -> None: ...
    def mark_non_differentiable(self, *tensors: Tensor) -> None: ...


class Function(torch.autograd.Function):
    @staticmethod
    def forward(ctx: _Context, share: Share, agreement: Tensor, *tensors: Tensor | None) -> tuple[Tensor, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        tensors = collected(share, tensors)
        loss = with_tensors(share.loss, tensors)
        ctx.share, ctx.kept = share, share.backend.room(loss) if any(ctx.needs_input_grad) else None
        known, rows, argmax = computed(share, loss, agreement, ctx.kept)
        ctx.save_for_backward(*tensors, *known)
        ctx.mark_non_differentiable(argmax)
        return rows, argmax

    @staticmethod
    def backward(ctx: _Context, upstream: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        count = FIXED + 3 * len(ctx.share.loss.sides)
        saved = ctx.saved_tensors  # once: a checkpoint computes them anew
        tensors, known = saved[:count], saved[count:]
        loss, wanted = with_tensors(ctx.share.loss, tensors), tuple(ctx.needs_input_grad[2 + FIXED :])
        kept, ctx.kept = ctx.kept, None  # they are lost; with a retained graph they are computed again
        with torch.no_grad():
            gradients = derived(ctx.share, loss, known, upstream, wanted, kept)
        if torch.is_grad_enabled():  # somebody may differentiate them
            origin = (upstream, *[x for x, want in zip(tensors[FIXED:], wanted) if want])
            gradients = [None if g is None else _Final.apply(g, *origin) for g in gradients]
        return *[None] * (2 + FIXED), *gradients


class _Final(torch.autograd.Function):
    """A gradient that has none itself: that of one rank alone would be wrong."""

    @staticmethod
    def forward(ctx: object, gradient: Tensor, *origin: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx: object, *_: Tensor) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        raise NotImplementedError(
            "second derivatives of a loss whose classes are shared out among ranks — gather the logits for these"
        )


def computed(
    share: Share, loss: Loss, agreement: Tensor, kept: Tensor | None = None
) -> tuple[tuple[Tensor | None, ...], Tensor, Tensor]:
    """What backward has to know, the rows (K, rows), and their argmax for statistics."""
    shares, backend = share.shares, share.backend
    if loss.kind == "divergence":
        student, teacher, agree = fold_both(
            loss, [_measured(share, loss, side) for side in loss.sides], shares, agreement
        )
        parts = shares.group.ordered_total(backend.compare(loss, student, teacher))
        parts = torch.where(agree, parts, torch.nan)
        nothing = parts.new_empty(0, dtype=torch.int64)
        return (*student, *teacher, *parts, agree), parts[:1].clone(), nothing
    row, agree = fold(loss, backend.measure(loss, shares.begin, kept), shares, agreement)
    result = backend.conclude(loss, row)
    rows = torch.where(agree, result.rows, torch.nan)
    argmax = rows.new_empty(0, dtype=torch.int64) if result.argmax is None else result.argmax
    return (*row, agree), rows, argmax


def _measured(share: Share, loss: Loss, side: Side) -> RowStatistics:
    """Statistics of the logits of one side of a divergence."""
    alone = Loss("statistics", (side,), loss.shape, budget=loss.budget, most_rows=loss.most_rows)
    row = share.backend.measure(alone, share.shares.begin)
    return RowStatistics(row.maximum, row.others, row.apart)


def _known(loss: Loss, known: Sequence[Tensor | None]) -> tuple[RowStatistics | Comparison, Tensor]:
    """The statistics of all classes, and whether the ranks agree."""
    *rows, agree = known
    assert agree is not None
    if loss.kind != "divergence":
        return _row(rows), agree
    *rows, divergence, of_student = rows
    assert divergence is not None
    assert of_student is not None
    fields = len(RowStatistics._fields)
    return Comparison(_row(rows[:fields]), _row(rows[fields:]), divergence, of_student), agree


def _row(fields: Sequence[Tensor | None]) -> RowStatistics:
    return RowStatistics(*fields)  # pyright: ignore[reportArgumentType]


def collected(share: Share, tensors: Sequence[Tensor | None]) -> tuple[Tensor | None, ...]:
    """The tensors, with the hidden states of all rows."""
    if share.spread is None:
        return tuple(tensors)
    hidden = tensors[FIXED]
    assert hidden is not None
    return *tensors[:FIXED], share.spread.gather(hidden, share.shares.group), *tensors[FIXED + 1 :]


def derived(
    share: Share,
    loss: Loss,
    known: Sequence[Tensor | None],
    upstream: Tensor,
    wanted: tuple[bool, ...],
    kept: Tensor | None = None,
) -> list[Tensor | None]:
    """Gradients of this rank's tensors, with the sums of the hidden states' over ranks."""
    group, (row, agree) = share.shares.group, _known(loss, known)
    if agree.device.type == "cpu" and not agree:  # perhaps because a rank has raised, which will not take part
        return [None if x is None else torch.full_like(x, torch.nan) for x in _slots(share, loss, wanted)]
    coefficient = torch.where(agree, upstream, torch.nan)
    sums = loss.sides[0].weight is not None and group.size > 1 and (share.reduces or share.spread is not None)
    totals = [
        Total(side.input, group, share.comm_dtype, share.spread) if sums and wants else None
        for side, wants in zip(loss.sides, wanted[::3])
    ]
    collectors = [None if total is None else total.collector() for total in totals]
    gradients = list(share.backend.derive(loss, share.shares.begin, row, coefficient, wanted, collectors, kept))
    for i, (side, total) in enumerate(zip(loss.sides, totals)):
        if total is not None:
            gradients[3 * i] = total.finish().to(side.input.dtype)
    return gradients


def _slots(share: Share, loss: Loss, wanted: tuple[bool, ...]) -> list[Tensor | None]:
    """Input, head and bias of each side that want a gradient, as this rank has them."""
    slots: list[Tensor | None] = [x if want else None for x, want in zip(tensors_of(loss)[FIXED:], wanted)]
    if share.spread is not None and slots[0] is not None:
        slots[0] = slots[0].narrow(share.spread.dim, 0, share.spread.part(share.shares.group))
    return slots
