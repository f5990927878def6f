"""Losses and their gradients in one pass over pieces of the logits, in place: what a backend of kernels does.

`_dense` and `_linear` cut and multiply; a *kernel* for each kind of loss does to a tile of logits what `_tile`
describes.
"""

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from typing import TypeAlias

import torch
from torch import Tensor

from crossentropy import _planner
from crossentropy._backends.chunked import _dense, _linear
from crossentropy._backends.chunked._tile import Kernel, Setting, each
from crossentropy._loss import FIXED, Collector, Kind, Loss, Result, mixes, product_dtype, rows_shape, tensors_of
from crossentropy._planner import Plan, Workload
from crossentropy._statistics import Comparison, RowStatistics, of_no_classes

_OF_A_MIXTURE = 8
"""Tiles of what a divergence from a mixture computes of each class, beside those of a plain one."""


def workload(loss: Loss, wanted: tuple[bool, ...]) -> Workload:
    """The workload of a loss; `wanted` tells for each side whether input, weight and bias need gradients."""
    side, spec = loss.sides[0], loss.sides[0].spec
    rows = loss.shape.numel() // spec.num_classes
    input_gradient, head_gradient = any(wanted[::3]), any(wanted[1::3]) or any(wanted[2::3])
    capped = any(s.spec.softcap is not None for s in loss.sides) and any(wanted)
    scratch = capped + (spec.probabilities or loss.kind != "cross_entropy") + 2 * (len(loss.sides) - 1)
    if mixes(spec.mixture):
        scratch += _OF_A_MIXTURE
    if side.weight is None:
        layout = _dense.Layout.of(side.input, spec.class_dim)
        positions = 1 if layout.flat else math.prod(layout.shape[layout.class_dim + 1 :])
        return Workload(
            rows=rows // max(positions, 1),
            positions=positions,
            classes=_classes(loss),
            dtype=functools.reduce(torch.promote_types, (s.input.dtype for s in loss.sides)),
            machine=_planner.machine_of(side.input.device),
            input_gradient=input_gradient,
            scratch=scratch,
        )
    positions = math.prod(side.weight.shape[1:-1])
    dtypes = [(product_dtype(s), s.weight.dtype) for s in loss.sides if s.weight is not None]
    dtype = functools.reduce(torch.promote_types, (product for product, _ in dtypes))
    # one head that cannot accumulate its gradient decides for both
    head_dtype = next((head for product, head in dtypes if product != head or head.itemsize == 2), dtype)
    return Workload(
        rows=rows // max(positions, 1),
        classes=sum(s.weight.shape[0] for s in loss.sides if s.weight is not None),
        dtype=dtype,
        positions=positions,
        features=side.weight.shape[-1],
        head_dtype=head_dtype,
        machine=_planner.machine_of(side.input.device),
        input_gradient=input_gradient,
        head_gradient=head_gradient,
        scratch=scratch,
        converted=any(s.input.dtype != p or head != p for s, (p, head) in zip(loss.sides, dtypes)),
        merges=len(loss.sides) == 1,
    )


Kernels: TypeAlias = Mapping[Kind, Callable[[Setting], Kernel]]
"""What makes the kernel of each kind of loss."""


class Engine:
    """Executes losses by kernels, in pieces of a plan."""

    def __init__(
        self,
        kernels: Kernels,
        plan: Callable[[Workload, Loss], Plan],
        sweep_statistics: Callable[[Kernel, _linear.Head, Plan, int], None] = _linear.sweep_statistics,
    ) -> None:
        self._kernels, self._plan, self._sweep_statistics = kernels, plan, sweep_statistics

    def plan(self, loss: Loss, wanted: tuple[bool, ...]) -> Plan:
        """How a loss is executed."""
        return self._plan(workload(loss, wanted), loss)

    def empty_gradient(self, x: Tensor, class_dim: int) -> Tensor:
        """An uninitialised gradient of logits, in the layout that `execute` gives it."""
        return _dense.Layout.of(x, class_dim).empty_gradient(x)

    def execute(self, loss: Loss, coefficient: Tensor | None, wanted: tuple[bool, ...]) -> Result:
        """The rows of a loss, and the wanted gradients of Σ coefficient · rows, of shape (K, rows) or (1, rows)."""
        with _plainly(loss):
            if not loss.shape.numel():
                return _nothing(loss, wanted)
            pieces, gradient = self.plan(loss, wanted), any(wanted)
            if loss.sides[0].weight is None:
                logits = _Logits(self._kernels, loss, coefficient if gradient else None, pieces)
                derived = _dense.sweep(logits.kernel, logits.blocks, pieces, wanted[::3])
                return _result(logits.kernel, loss, logits.gradients(derived))
            made = _Made(self._kernels, loss, coefficient, wanted, pieces)
            kernel = made.kernel
            if pieces.blockwise and kernel.merges:
                kernel = kernel.chunk((slice(None),))
                self._sweep_statistics(kernel, made.heads[0], pieces, 0)
                kernel.conclude()
            else:
                _linear.sweep_rows(kernel, made.heads, pieces, gradient=gradient)
            if pieces.second_sweep:
                _linear.sweep_classes(kernel, made.heads, pieces)
            result = _result(kernel, loss, made.gradients())
            made.blank(result.rows)
            return result

    def room(self, loss: Loss) -> Tensor | None:
        """Room for the logits that a head makes, if all fit into its budget: then they need not be made twice."""
        side = loss.sides[0]
        if side.weight is None or len(loss.sides) > 1 or not _classes(loss):
            return None
        rows, width = loss.shape.numel() // side.spec.num_classes, _classes(loss)
        dtype, budget = product_dtype(side), loss.budget or _planner.machine_of(side.input.device).budget
        if rows * width * dtype.itemsize > budget:
            return None
        positions = math.prod(side.weight.shape[1:-1])
        return side.input.new_empty((rows // max(positions, 1), width * positions), dtype=dtype)

    def measure(self, loss: Loss, begin: int, kept: Tensor | None = None) -> RowStatistics:
        """Statistics of rows whose logits, or whose head, are the classes from `begin` on, with all that merging needs.

        The logits of a head are left in `kept`, for `derive`.
        """
        with _plainly(loss):
            wanted = (False,) * 3
            pieces = self.plan(loss, wanted)
            if loss.sides[0].weight is None:
                logits = _Logits(self._kernels, loss, None, pieces, begin)
                kernel = logits.kernel.chunk((slice(None),))
                if _classes(loss):
                    _dense.measure(kernel, logits.blocks[0], pieces, begin)
            else:
                made = _Made(self._kernels, loss, None, wanted, pieces, begin)
                kernel = made.kernel.chunk((slice(None),))
                if kept is not None:
                    _linear.keep_logits(kernel, made.heads[0], pieces, begin, kept)
                elif _classes(loss):
                    self._sweep_statistics(kernel, made.heads[0], pieces, begin)
            shape, found = rows_shape(loss), kernel.statistics
            return each(found if _classes(loss) else of_no_classes(found), lambda x: x.reshape(shape))

    def conclude(self, loss: Loss, statistics: RowStatistics) -> Result:
        """The rows of a loss, from the statistics of all classes; of its logits, or its head, nothing is read."""
        with _plainly(loss):
            if not loss.shape.numel():
                return _nothing(loss, ())
            wanted = (False,) * 3
            pieces = self.plan(loss, wanted)
            of = (
                _Logits(self._kernels, loss, None, pieces, 0)
                if loss.sides[0].weight is None
                else _Made(self._kernels, loss, None, wanted, pieces, 0)
            )
            kernel = of.kernel.with_statistics(each(statistics, of.rows))
            kernel.conclude()
            result = _result(kernel, loss, ())
            of.blank(result.rows)
            return result

    def compare(self, loss: Loss, student: RowStatistics, teacher: RowStatistics) -> Tensor:
        """What these classes add to the divergence of each row, and to the student's share of it, (2, rows)."""
        with _plainly(loss):
            rows = student.maximum.new_zeros((2, *student.maximum.shape))
            if rows.numel() and _classes(loss):
                wanted, known = (False,) * 6, Comparison(student, teacher, *rows)
                pieces = self.plan(loss, wanted)
                if loss.sides[0].weight is None:
                    logits = _Logits(self._kernels, loss, None, pieces, 0)
                    _dense.compare(logits.kernel.with_statistics(each(known, logits.rows)), logits.blocks, pieces)
                else:
                    made = _Made(self._kernels, loss, None, wanted, pieces, 0)
                    _linear.compare(made.kernel.with_statistics(each(known, made.rows)), made.heads, pieces)
            return rows

    def derive(
        self,
        loss: Loss,
        begin: int,
        statistics: RowStatistics | Comparison,
        coefficient: Tensor,
        wanted: tuple[bool, ...],
        collectors: Sequence[Collector | None] = (),
        kept: Tensor | None = None,
    ) -> tuple[Tensor | None, ...]:
        """Gradients of Σ coefficient · rows for these classes, from the statistics of all classes.

        Where a side has a collector, the gradient of its hidden states is left in that one's buffer. Logits that were
        kept are lost.
        """
        with _plainly(loss):
            if not (any(wanted) and loss.shape.numel() and _classes(loss)):
                return _zeros(loss, wanted)
            pieces = self.plan(loss, wanted)
            if loss.sides[0].weight is None:
                logits = _Logits(self._kernels, loss, coefficient, pieces, begin)
                kernel = logits.kernel.with_statistics(each(statistics, logits.rows))
                return logits.gradients(_dense.derive(kernel, logits.blocks, pieces, begin, wanted[::3]))
            made = _Made(self._kernels, loss, coefficient, wanted, pieces, begin, collectors)
            kernel = made.kernel.with_statistics(each(statistics, made.rows))
            _linear.derive(kernel, made.heads, pieces, begin, kept)
            return made.gradients()


# --- where logits come from ---------------------------------------------------------------------------------------


class _Logits:
    """Logits that are given, in their layout, and the kernel of their loss."""

    def __init__(
        self, kernels: Kernels, loss: Loss, coefficient: Tensor | None, pieces: Plan, origin: int | None = None
    ) -> None:
        side = loss.sides[0]
        self.layout = _dense.Layout.of(side.input, side.spec.class_dim)
        self.rows = self.layout.rows
        self.blocks = tuple([self.layout.blocks(side.input) for side in loss.sides])
        self.kernel = _kernel(kernels, Setting(loss, coefficient, self.rows, self.layout.blocks, pieces, origin))

    def gradients(self, derived: Sequence[Tensor | None]) -> tuple[Tensor | None, ...]:
        found = []
        for blocks in derived:
            found += [None if blocks is None else self.layout.restore(blocks), None, None]
        return tuple(found)

    def blank(self, rows: Tensor) -> None:
        """Nothing: the kernel left out what counts for nothing."""


class _Made:
    """Logits that heads make, and the kernel of their loss."""

    def __init__(
        self,
        kernels: Kernels,
        loss: Loss,
        coefficient: Tensor | None,
        wanted: tuple[bool, ...],
        pieces: Plan,
        origin: int | None = None,
        collectors: Sequence[Collector | None] = (),
    ) -> None:
        self.heads = [
            _linear.Head(side, wanted[3 * i : 3 * i + 3], pieces, collector, loss.absent)
            for i, (side, collector) in enumerate(zip_longest(loss.sides, collectors))
        ]
        self.poisoned = _linear.poisoned(loss, coefficient, self.heads)
        for head in self.heads:
            head.unseen = self.poisoned
        gradient = coefficient if any(wanted) else None
        self.kernel = _kernel(kernels, Setting(loss, gradient, self.rows, self._blocks, pieces, origin))

    def rows(self, x: Tensor) -> Tensor:
        count, positions = len(self.heads[0].hidden), self.heads[0].positions
        return x.reshape((count, 1) if positions == 1 else (count, 1, positions))

    def _blocks(self, x: Tensor) -> Tensor:
        head = self.heads[0]
        count, positions = len(head.hidden), head.positions
        return x.reshape((count, head.classes) if positions == 1 else (count, head.classes, positions))

    def gradients(self) -> tuple[Tensor | None, ...]:
        return tuple([g for head in self.heads for g in head.gradients()])

    def blank(self, rows: Tensor) -> None:
        """Set rows to 0 whose hidden states no product may see."""
        if self.poisoned is not None:
            shape = (-1, *self.poisoned.shape, self.heads[0].positions)
            rows.view(shape).masked_fill_(self.poisoned.unsqueeze(1), 0.0)


def _kernel(kernels: Kernels, setting: Setting) -> Kernel:
    return kernels[setting.loss.kind](setting)


@contextmanager
def _plainly(loss: Loss) -> Iterator[None]:
    """Without gradients and autocast: both are done by hand here."""
    with torch.no_grad(), torch.autocast(loss.sides[0].input.device.type, enabled=False):
        yield


def _nothing(loss: Loss, wanted: tuple[bool, ...]) -> Result:
    """The result of a loss without rows."""
    shape = rows_shape(loss)
    statistics = loss.kind == "statistics"
    x = loss.sides[0].input
    return Result(
        x.new_zeros((3 if statistics else 1, *shape), dtype=loss.sides[0].spec.dtype),
        x.new_zeros(shape, dtype=torch.int64) if statistics else None,
        _zeros(loss, wanted),
    )


def _zeros(loss: Loss, wanted: tuple[bool, ...]) -> tuple[Tensor | None, ...]:
    """Gradients to which no row, or no class, adds anything."""
    slots = tensors_of(loss)[FIXED:]
    return tuple(torch.zeros_like(x) if x is not None and want else None for x, want in zip(slots, wanted))


def _classes(loss: Loss) -> int:
    """How many classes there are logits of; fewer than the loss is about in a slice."""
    side = loss.sides[0]
    return side.input.shape[side.spec.class_dim] if side.weight is None else side.weight.shape[0]


def _result(kernel: Kernel, loss: Loss, gradients: tuple[Tensor | None, ...]) -> Result:
    shape = rows_shape(loss)
    results, argmax = kernel.results()
    rows = [row.reshape(1, *shape) for row in results]
    return Result(
        torch.cat(rows) if len(rows) > 1 else rows[0], None if argmax is None else argmax.reshape(shape), gradients
    )
