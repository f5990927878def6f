"""The kernel of cross entropy, against labels or class probabilities.

    ℓ = Σ_c τ_c (lse − z_c) + λ n lse²          G = c (A p − τ)          A = Στ + 2 λ n lse

p = softmax(z) · τ = w ((1 − ε) p_target + ε/C) · n what the row counts: w_y, or 1 · c its coefficient, times the
derivative of the loading.

The class k that is kept apart is the label, or the largest: its exponential is set to 0 and its gradient computed from
the sum of the others, which keeps relative accuracy (p_k − 1 = −Σ of the others).
"""

from dataclasses import dataclass, field, replace
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from crossentropy import _statistics as statistics
from crossentropy._backends.chunked._tile import (
    Given,
    Index,
    Setting,
    Tensors,
    clean,
    cut,
    given,
    keep,
    load,
    local,
    pick,
    put,
    shaped,
    times,
    unload,
    weigh,
)
from crossentropy._loss import LossSpec
from crossentropy._statistics import RowStatistics


class _Pull(NamedTuple):
    """What makes a gradient of exp(z − m)."""

    scale: Tensor
    """c A / s, which multiplies it."""
    apart: Tensor
    """The gradient at the class apart."""


class _Rows(NamedTuple):
    """What belongs to rows, and is cut with them."""

    given: Given
    loss: Tensor
    picked: Tensor | None
    """Class weights of the labels."""
    probabilities: Tensor | None
    """The target (N, C) or (N, C, P)."""
    statistics: RowStatistics | None
    """Room for those that something later needs: of all rows where a second sweep does, else of a chunk's. No more,
    because where there are few classes they are as large as logits."""
    pull: _Pull | None = None


@dataclass(frozen=True)
class CrossEntropy:
    """Cross entropy against labels or class probabilities."""

    in_place: ClassVar[bool] = False

    spec: LossSpec
    rows: _Rows
    slope: Tensor | None
    weight: Tensor | None
    """Class weights (1, C) or (1, C, 1), in the accumulation dtype."""
    uniform: Tensor | float
    """What smoothing puts on all classes together: ε times the mean class weight."""
    spare: Tensor | None
    """A tile for τ, against class probabilities."""
    blockwise: bool
    """Whether statistics of several blocks of classes are merged."""
    origin: int | None
    """The first class of the logits, where these are not all."""
    modest: list[bool] = field(default_factory=lambda: [True])
    """Whether no row was met so far whose exponentials need a maximum."""

    @classmethod
    def of(cls, setting: Setting) -> "CrossEntropy":
        """The kernel of a loss."""
        loss, side, plan = setting.loss, setting.loss.sides[0], setting.plan
        spec, known, loss_of_rows = side.spec, given(setting), setting.zeros()
        weight = picked = probabilities = spare = None
        uniform: Tensor | float = spec.label_smoothing
        if loss.weight is not None:
            weight = loss.weight.detach().to(spec.dtype).reshape(1, -1, *[1] * (loss_of_rows.dim() - 2))
            uniform = spec.label_smoothing * weight.mean() if spec.label_smoothing else 0.0  # and not 0 · inf
        if spec.probabilities:
            assert loss.target is not None
            probabilities, spare = setting.blocks(loss.target), side.input.new_empty(plan.tile, dtype=spec.dtype)
        elif weight is not None and not setting.bare:
            assert known.label is not None
            picked = weight.flatten()[known.label]
        rows = _Rows(known, loss_of_rows, picked, probabilities, None)
        blockwise = plan.blockwise or setting.origin is not None
        kernel = cls(spec, rows, setting.slopes()[0], weight, uniform, spare, blockwise, setting.origin)
        return kernel.with_statistics(kernel._room()) if plan.second_sweep else kernel

    @property
    def dtype(self) -> torch.dtype:
        return self.spec.dtype

    @property
    def merges(self) -> bool:
        return True

    @property
    def statistics(self) -> RowStatistics:
        assert self.rows.statistics is not None
        return self.rows.statistics

    def _room(self) -> RowStatistics:
        """Room for statistics."""
        soft = self.spec.probabilities
        like, tau = self.rows.loss, soft or bool(self.spec.label_smoothing)

        def zeros(wanted: bool, dtype: torch.dtype | None = None) -> Tensor | None:
            return torch.zeros_like(like, dtype=dtype) if wanted else None

        return RowStatistics(
            torch.zeros_like(like),
            torch.zeros_like(like),
            torch.zeros_like(like),
            weighted=zeros(tau),
            weight=zeros(soft or (tau and self.blockwise)),
            elsewhere=zeros(soft and (self.origin is not None or self.rows.given.coefficients is not None)),
            top=zeros(soft, torch.int64),
        )

    def with_statistics(self, row: RowStatistics) -> "CrossEntropy":
        """The kernel of rows that have these statistics, or room for them."""
        return replace(self, rows=self.rows._replace(statistics=row))

    def at(self, index: Index) -> "CrossEntropy":
        return replace(self, rows=cut(self.rows, index))

    def chunk(self, index: Index) -> "CrossEntropy":
        part = self.at(index)
        return part if part.rows.statistics is not None else part.with_statistics(part._room())

    def results(self) -> tuple[Tensors, None]:
        return (self.rows.loss,), None

    def tile(self, logits: Tensors, works: Tensors, *, gradient: bool) -> None:
        work = works[0]
        slope = shaped(self.slope, work) if gradient else None
        tau = self._tau(0, work)
        row = self._measured_as_is(logits[0], work, tau, slope)
        if row is None:
            row = self._measured(load(logits[0], work, self.spec, slope), work, tau, 0)
            keep(self.statistics, row)
        if gradient:
            self._derive(work, tau, row, self._pull(row), 0, slope)

    def accumulate(self, logits: Tensor, work: Tensor, begin: int, *, first: bool) -> None:
        row = self._measured(load(logits, work, self.spec), work, self._tau(begin, work), begin)
        keep(self.statistics, row if first else statistics.merge(self.statistics, row))

    def ready(self) -> "CrossEntropy":
        return replace(self, rows=self.rows._replace(pull=self._pull(self.statistics)))

    def compare(self, logits: Tensors, works: Tensors) -> None:
        raise NotImplementedError("a divergence compares two logits")

    def block(self, logits: Tensors, works: Tensors, begin: int) -> None:
        row, pull, work = self.statistics, self.rows.pull, works[0]
        assert pull is not None
        slope = shaped(self.slope, work)
        torch.sub(load(logits[0], work, self.spec, slope), row.maximum, out=work).exp_()
        self._derive(work, self._tau(begin, work), row, pull, begin, slope)

    def conclude(self) -> None:
        row, spec, known = self.statistics, self.spec, self.rows.given
        if spec.probabilities:
            assert row.weight is not None
            assert row.weighted is not None
            loss = times(row.weight, statistics.log_total(row)) - row.weighted
        else:
            loss = times(self._on_label(), statistics.information(row))
            if row.weighted is not None:
                loss = loss + (self.uniform * statistics.log_total(row) - row.weighted)
        if spec.z_loss:
            loss = loss + spec.z_loss * times(self._count(), statistics.logsumexp(row).square())
        if known.ignored is not None and known.unknown is not None:
            loss = (loss + known.unknown).masked_fill_(known.ignored, 0.0)
        self.rows.loss.copy_(loss)

    # --- what belongs to rows -------------------------------------------------------------------------------------

    def _apart(self, row: RowStatistics) -> Tensor:
        """The class that is kept apart."""
        label = row.top if self.spec.probabilities else self.rows.given.label
        assert label is not None
        return label

    def _count(self) -> Tensor | float:
        """What a row counts: n."""
        return 1.0 if self.rows.picked is None else self.rows.picked

    def _on_label(self) -> Tensor | float:
        """τ of the label, without the smoothing."""
        return (1 - self.spec.label_smoothing) * self._count()

    def _tau(self, begin: int, work: Tensor) -> Tensor | float | None:
        """What target or smoothing put on each class of a block, but for the label; a number if the same on all."""
        spec, end = self.spec, begin + work.shape[1]
        share = spec.label_smoothing / spec.num_classes
        if not spec.probabilities:
            if not spec.label_smoothing:
                return None
            return share if self.weight is None else share * self.weight[:, begin:end]
        tau = shaped(self.spare, work)
        assert tau is not None
        assert self.rows.probabilities is not None
        origin = self.origin or 0
        tau.copy_(self.rows.probabilities[:, begin - origin : end - origin])
        if spec.label_smoothing:
            tau.mul_(1 - spec.label_smoothing).add_(share)
        return tau if self.weight is None else tau.mul_(self.weight[:, begin:end])

    # --- measure --------------------------------------------------------------------------------------------------

    def _measured(self, z: Tensor, work: Tensor, tau: Tensor | float | None, begin: int) -> RowStatistics:
        """Leave exp(z − m) in `work`, with 0 at the class apart, and give the statistics."""
        top = inside = None
        if self.spec.probabilities:
            apart, label = z.max(1, keepdim=True)
            maximum = apart.clamp(min=statistics.lowest(z.dtype))
            top = label + begin if begin else label
        else:
            label, inside = local(self._apart(self.statistics), begin, work.shape[1], self.spec.num_classes)
            maximum = z.amax(1, keepdim=True).clamp_(min=statistics.lowest(z.dtype))
            apart = pick(z, label, inside)
        torch.sub(z, maximum, out=work)
        weighted = weight = elsewhere = None
        if tau is not None:
            weighted = weigh(tau, work)
            if self.statistics.weight is not None:
                many = isinstance(tau, Tensor)
                weight = tau.sum(1, keepdim=True) if many else torch.full_like(maximum, tau * work.shape[1])
            if self.statistics.elsewhere is not None:
                assert isinstance(tau, Tensor)
                elsewhere = tau.scatter_(1, label, 0.0).sum(1, keepdim=True)
        work.exp_()
        put(work, label, inside, 0.0)
        others = work.sum(1, keepdim=True)
        return RowStatistics(maximum, others, apart, weighted, weight, elsewhere, top=top)

    def _measured_as_is(
        self, logits: Tensor, work: Tensor, tau: Tensor | float | None, slope: Tensor | None
    ) -> RowStatistics | None:
        """The same with m = 0, which saves two of five passes, if exp(z) then stays in range; else None.

        With s in [2^−23, 2^23], log s and so every rounding is of size 16 at most. Where one tile fails, no other is
        tried. The logits must survive a failure.
        """
        if tau is not None or not self.modest[0] or work.data_ptr() == logits.data_ptr() or not work.is_cpu:
            return None
        z, row = load(logits, work, self.spec, slope), self.statistics
        label = self._apart(row)
        torch.gather(z, 1, label, out=row.apart)
        torch.exp(z, out=work).scatter_(1, label, 0.0)
        torch.sum(work, 1, keepdim=True, out=row.others)
        least, most = (row.others + row.apart.exp()).aminmax()
        if not (least.item() >= 2.0**-23 and most.item() <= 2.0**23):
            self.modest[0] = False
            return None
        return row

    # --- derive ---------------------------------------------------------------------------------------------------

    def _pull(self, row: RowStatistics) -> _Pull:
        """C A / s, which multiplies exp(z − m), and the gradient at the class apart.

        That is c (Στ elsewhere − Στ · o / s + pull · p), with pull = 2 λ n lse: differences of what is small, never
        of 1 and nearly 1.
        """
        spec, c = self.spec, self.rows.given.coefficients
        assert c is not None
        apart = torch.exp(row.apart - row.maximum)
        scale = c / (row.others + apart)
        soft = spec.probabilities or spec.label_smoothing
        if not soft and self.weight is None and not spec.z_loss:  # Στ = 1, all of it on the label
            return _Pull(scale, (scale * row.others).neg_())
        if spec.probabilities:
            everywhere, elsewhere = row.weight, row.elsewhere
            assert everywhere is not None
            assert elsewhere is not None
        else:
            share = spec.label_smoothing / spec.num_classes
            everywhere, elsewhere = self.uniform + self._on_label(), self.uniform - share * self._count()
        pull = 2 * spec.z_loss * statistics.logsumexp(row) * self._count() if spec.z_loss else 0.0
        peak = c * elsewhere - scale * (everywhere * row.others) + scale * (pull * apart)
        return _Pull(scale * (everywhere + pull), peak)

    def _derive(
        self,
        work: Tensor,
        tau: Tensor | float | None,
        row: RowStatistics,
        pull: _Pull,
        begin: int,
        slope: Tensor | None,
    ) -> None:
        """Turn exp(z − m) into the gradient."""
        known = self.rows.given
        assert known.coefficients is not None
        label, inside = local(self._apart(row), begin, work.shape[1], self.spec.num_classes)
        work.mul_(pull.scale)
        if isinstance(tau, Tensor):
            work.addcmul_(known.coefficients, tau, value=-1)
        elif tau is not None:
            work.sub_(known.coefficients * tau)
        put(work, label, inside, pull.apart)
        unload(work, slope)
        clean(work, known.idle, pull.scale)
