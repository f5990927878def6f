"""Tiles: what every kernel does with the logits that are worked on at once, and what it knows of their rows.

    load        z = softcap · tanh(logit_scale · logits / softcap) / temperature           in the accumulation dtype
    measure     z → exp(z − m), and the statistics of its rows (see `crossentropy._statistics`)
    derive      exp(z − m) → the gradient with respect to the logits

A tile goes through these three steps while it is in cache. What belongs to a row has a class axis of 1, so that one
index cuts logits and rows alike: `cut`.

A row is *idle* if it is ignored or its coefficient is 0: its gradient is 0 whatever it holds.
"""

import functools
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, Protocol, TypeAlias, TypeVar

import torch
from torch import Tensor

from crossentropy._logspace import product
from crossentropy._loss import Loss, LossSpec, moves_absent, rows_shape
from crossentropy._planner import Plan
from crossentropy._statistics import RowStatistics

Index: TypeAlias = tuple[slice, ...]
View: TypeAlias = Callable[[Tensor], Tensor]
Tensors: TypeAlias = tuple[Tensor, ...]
_Cut = TypeVar("_Cut", bound=tuple[Any, ...])


class Kernel(Protocol):
    """What a kernel can do. Rows' tensors are views into those of the whole loss, so that results end up there."""

    in_place: ClassVar[bool]
    """Whether it needs no room to work in: it reads logits of any dtype, and writes nothing but the gradient."""

    @property
    def dtype(self) -> torch.dtype:
        """The accumulation dtype."""
        ...

    @property
    def merges(self) -> bool:
        """Whether statistics of blocks of classes merge."""
        ...

    @property
    def statistics(self) -> RowStatistics:
        """Those of the rows of a chunk, where they merge."""
        ...

    def with_statistics(self, row: Any) -> "Kernel":  # noqa: ANN401 (one or the other)
        """The kernel of rows that have these statistics: RowStatistics, or for a divergence a Comparison."""
        ...

    def chunk(self, index: Index) -> "Kernel":
        """The kernel of some of the rows, with room for their statistics."""
        ...

    def at(self, index: Index) -> "Kernel":
        """The kernel of some of the rows of a chunk."""
        ...

    def tile(self, logits: Tensors, works: Tensors, *, gradient: bool) -> None:
        """Store the statistics of complete rows; leave gradients in `works` if wanted."""
        ...

    def accumulate(self, logits: Tensor, work: Tensor, begin: int, *, first: bool) -> None:
        """Merge the classes from `begin` on into the statistics of the rows; the first ones are theirs."""
        ...

    def ready(self) -> "Kernel":
        """The kernel for `block`, of rows that have their statistics."""
        ...

    def compare(self, logits: Tensors, works: Tensors) -> None:
        """Store the terms of a divergence that these classes have, of rows that have their statistics."""
        ...

    def block(self, logits: Tensors, works: Tensors, begin: int) -> None:
        """Leave gradients of the classes from `begin` on in `works`."""
        ...

    def conclude(self) -> None:
        """Store the results of the rows of a chunk, which have their statistics."""
        ...

    def results(self) -> tuple[Tensors, Tensor | None]:
        """The K results of all rows, and their argmax for statistics."""
        ...


class Setting(NamedTuple):
    """What a kernel is made for."""

    loss: Loss
    coefficient: Tensor | None
    """Coefficients (K, rows) or (1, rows), where a gradient is wanted."""
    rows: View
    """Lays out what belongs to rows, with a class axis of 1."""
    blocks: View
    """Lays out what belongs to logits."""
    plan: Plan
    origin: int | None
    """The first class of the logits, where their statistics are merged with those of other classes."""
    bare: bool = False
    """Whether tiles find ignored rows and labels that are no class by themselves, and nothing else needs them."""

    def zeros(self, dtype: torch.dtype | None = None) -> Tensor:
        """Zeros for the rows."""
        side = self.loss.sides[0]
        return self.rows(torch.zeros(rows_shape(self.loss), dtype=dtype or side.spec.dtype, device=side.input.device))

    def slopes(self) -> tuple[Tensor | None, ...]:
        """For each side a tile that keeps tanh for the gradient of a softcap."""
        return tuple(
            None
            if self.coefficient is None or side.spec.softcap is None
            else side.input.new_empty(self.plan.tile, dtype=side.spec.dtype)
            for side in self.loss.sides
        )


class Given(NamedTuple):
    """What is known of rows before their logits are; None where it is not needed."""

    label: Tensor | None = None
    """In [0, C); anything where there is none."""
    ignored: Tensor | None = None
    unknown: Tensor | None = None
    """nan where a label is out of range and was not read, else 0."""
    coefficients: Tensor | None = None
    """K of them instead of a class, times the constant factor of the loading's derivative."""
    idle: Tensor | None = None
    target: Tensor | None = None
    """The labels as they came."""
    logit: Tensor | None = None
    """The labels' logits in float32, where a kernel knows them better than the logits are."""


def given(setting: Setting) -> Given:
    """Labels, coefficients and idle rows; `ignored` and `unknown` where the contract found that there may be some.

    None of that costs much beside a tile, but a dozen operators do beside one call for all rows: see `bare`.
    """
    loss, rows = setting.loss, setting.rows
    spec, label, target, ignored, unknown = loss.sides[0].spec, None, None, None, None
    if loss.target is not None and not spec.probabilities:
        label = target = rows(loss.target)
        if spec.ignores and not setting.bare:
            ignored = label == spec.ignore_index
            outside = ((label < 0) | (label >= spec.num_classes)) & ~ignored
            unknown = torch.zeros_like(label, dtype=spec.dtype).masked_fill_(outside, torch.nan)
            label = torch.where(ignored | outside, 0, label)
    if setting.coefficient is None:
        return Given(label, ignored, unknown, target=target)
    scaled = [_scaled(rows(c), spec) for c in setting.coefficient]
    if ignored is not None and unknown is not None:
        scaled[0] = scaled[0].masked_fill(ignored, 0.0) + unknown
    idle = None
    if not setting.bare:
        idle = functools.reduce(torch.logical_and, (_once_each(c, lambda x: x == 0) for c in scaled))
        if idle.device.type == "cpu" and not bool(_once(idle).any()):
            idle = None
    coefficients = scaled[0] if len(scaled) == 1 else torch.cat(scaled, 1)
    return Given(label, ignored, unknown, coefficients, idle, target)


def _scaled(coefficient: Tensor, spec: LossSpec) -> Tensor:
    constant = factor(spec)
    return (
        coefficient.to(spec.dtype)
        if constant == 1.0
        else _once_each(coefficient, lambda c: c.to(spec.dtype) * constant)
    )


def _once_each(x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """A function of each entry, computed once where one number stands for all of them."""
    return function(_once(x)).expand(x.shape)


def _once(x: Tensor) -> Tensor:
    """The one number that stands for all entries, or all entries."""
    return x if any(x.stride()) or not x.numel() else x[(0,) * x.dim()]


def cut(tensors: _Cut, index: Index) -> _Cut:
    """Some of the rows of each tensor of a named tuple of tensors, of such tuples, and of None."""
    return each(tensors, lambda x: x[index])


def each(tensors: _Cut, function: View) -> _Cut:
    """A function of each tensor of such a tuple."""
    parts = [x if x is None else function(x) if isinstance(x, Tensor) else each(x, function) for x in tensors]
    return tensors._make(parts)  # pyright: ignore[reportAttributeAccessIssue]


def keep(room: RowStatistics, row: RowStatistics) -> None:
    """Store the statistics for which there is room, because something later needs them."""
    for place, value in zip(room, row):
        if place is not None and value is not None and place is not value:
            place.copy_(value)


# --- logits -------------------------------------------------------------------------------------------------------


def load(logits: Tensor, work: Tensor, spec: LossSpec, slope: Tensor | None = None) -> Tensor:
    """Transformed logits in the accumulation dtype: `logits` itself, or `work`. `slope` receives tanh."""
    scaled = spec.logit_scale != 1.0 or spec.temperature != 1.0 or spec.softcap is not None
    if not scaled and logits.dtype == work.dtype:
        return logits
    if work.data_ptr() != logits.data_ptr():
        work.copy_(logits)
    absent = work == -torch.inf if moves_absent(spec) else None
    if spec.softcap is not None:
        torch.tanh(work.mul_(spec.logit_scale / spec.softcap), out=work if slope is None else slope)
        torch.mul(work if slope is None else slope, spec.softcap / spec.temperature, out=work)
    elif scaled:
        work.mul_(spec.logit_scale / spec.temperature)
    return work if absent is None else work.masked_fill_(absent, -torch.inf)


def unload(gradient: Tensor, slope: Tensor | None) -> None:
    """Multiply by the derivative of the loading, all but its constant factor."""
    if slope is not None:
        torch.ops.aten.tanh_backward.grad_input(gradient, slope, grad_input=gradient)


def factor(spec: LossSpec) -> float:
    """The constant factor of the loading's derivative."""
    return spec.logit_scale / spec.temperature


def clean(gradient: Tensor, idle: Tensor | None, witness: Tensor) -> None:
    """Set the gradient of a tile to 0 in idle rows that hold what is not finite: there `witness` is not 0."""
    if idle is None:
        return
    poisoned = idle & ~(witness == 0)
    if poisoned.device.type != "cpu" or bool(poisoned.any()):
        gradient.masked_fill_(poisoned, 0.0)


def shaped(buffer: Tensor | None, work: Tensor) -> Tensor | None:
    """As much of a buffer as a tile needs, in its shape."""
    return None if buffer is None else buffer[: work.numel()].view(work.shape)


# --- one class of each row ----------------------------------------------------------------------------------------


def local(label: Tensor, begin: int, classes: int, num_classes: int) -> tuple[Tensor, Tensor | None]:
    """Labels within a block of classes, and which rows have theirs there (None for all)."""
    if classes == num_classes:
        return label, None
    inside = label - begin
    return inside.clamp(0, classes - 1), (inside >= 0) & (inside < classes)


def pick(z: Tensor, label: Tensor, inside: Tensor | None) -> Tensor:
    """One logit of each row, −inf where it is not inside."""
    picked = z.gather(1, label)
    return picked if inside is None else picked.masked_fill_(~inside, -torch.inf)


def put(work: Tensor, label: Tensor, inside: Tensor | None, value: Tensor | float) -> None:
    """Set one class of each row that is inside."""
    if inside is not None:
        value = torch.where(inside, value, work.gather(1, label))
    work.scatter_(1, label, value)


# --- products -----------------------------------------------------------------------------------------------------


def weigh(weights: Tensor | float, differences: Tensor) -> Tensor:
    """Sum over the classes of weights times z − m, where 0 · (−inf) is 0."""
    if not isinstance(weights, Tensor):
        total = differences.sum(1, keepdim=True).mul_(weights)
    elif weights.shape[0] == 1 and weights.dim() == 2:
        total = differences @ weights.T
    else:
        total = (weights * differences).sum(1, keepdim=True)
    if total.is_cpu and bool(total.isfinite().all()):
        return total
    # weighted first: a sum of differences may overflow where the weighted one does not
    return product(weights, differences).sum(1, keepdim=True)


def times(weight: Tensor | float, value: Tensor) -> Tensor:
    """Weight times value, where a weight of 0 annihilates infinity."""
    return value if not isinstance(weight, Tensor) and weight == 1.0 else product(weight, value)
