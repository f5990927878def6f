"""The kernel of token statistics: log-probability of a label, entropy, logsumexp, argmax.

    log p_y        H        lse            G = p (g_lse − g_y − g_H (log p + H)) + g_y 1_y

p = softmax(z) · g the coefficients of the three, times the derivative of the loading. The class that is kept apart is
the largest.
"""

from dataclasses import dataclass, replace
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
    unload,
)
from crossentropy._loss import LossSpec
from crossentropy._statistics import RowStatistics


class _Rows(NamedTuple):
    """What belongs to rows, and is cut with them."""

    given: Given
    log_prob: Tensor
    entropy: Tensor
    logsumexp: Tensor
    statistics: RowStatistics


@dataclass(frozen=True)
class TokenStatistics:
    """Log-probability of a label (if there is one), entropy, logsumexp and argmax."""

    in_place: ClassVar[bool] = False

    spec: LossSpec
    rows: _Rows
    slope: Tensor | None

    @classmethod
    def of(cls, setting: Setting) -> "TokenStatistics":
        """The kernel of a loss."""
        known, zeros = given(setting), setting.zeros
        room = RowStatistics(
            zeros(),
            zeros(),
            zeros(),
            energy=zeros(),
            top=zeros(torch.int64),
            target=None if known.label is None else zeros(),
        )
        rows = _Rows(known, zeros(), zeros(), zeros(), room)
        return cls(setting.loss.sides[0].spec, rows, setting.slopes()[0])

    @property
    def dtype(self) -> torch.dtype:
        return self.spec.dtype

    @property
    def merges(self) -> bool:
        return True

    @property
    def statistics(self) -> RowStatistics:
        return self.rows.statistics

    def with_statistics(self, row: RowStatistics) -> "TokenStatistics":
        """The kernel of rows that have these statistics."""
        return replace(self, rows=self.rows._replace(statistics=row))

    def at(self, index: Index) -> "TokenStatistics":
        return replace(self, rows=cut(self.rows, index))

    def chunk(self, index: Index) -> "TokenStatistics":
        return self.at(index)

    def ready(self) -> "TokenStatistics":
        return self

    def results(self) -> tuple[Tensors, Tensor | None]:
        rows = self.rows
        return (rows.log_prob, rows.entropy, rows.logsumexp), rows.statistics.top

    def tile(self, logits: Tensors, works: Tensors, *, gradient: bool) -> None:
        slope = shaped(self.slope, works[0]) if gradient else None
        keep(self.rows.statistics, self._measured(load(logits[0], works[0], self.spec, slope), works[0], 0))
        if gradient:
            self._derive(works[0], 0, slope)

    def accumulate(self, logits: Tensor, work: Tensor, begin: int, *, first: bool) -> None:
        row = self._measured(load(logits, work, self.spec), work, begin)
        keep(self.rows.statistics, row if first else statistics.merge(self.rows.statistics, row))

    def compare(self, logits: Tensors, works: Tensors) -> None:
        raise NotImplementedError("a divergence compares two logits")

    def block(self, logits: Tensors, works: Tensors, begin: int) -> None:
        slope = shaped(self.slope, works[0])
        torch.sub(load(logits[0], works[0], self.spec, slope), self.rows.statistics.maximum, out=works[0])
        self._derive(works[0], begin, slope)

    def conclude(self) -> None:
        known, row = self.rows.given, self.rows.statistics
        log_prob = torch.zeros_like(row.maximum)
        if row.target is not None:
            log_prob = (row.target - row.maximum) - statistics.log_total(row)
        if known.ignored is not None and known.unknown is not None:
            log_prob = (log_prob + known.unknown).masked_fill(known.ignored, 0.0)
        self.rows.log_prob.copy_(log_prob)
        self.rows.entropy.copy_(statistics.entropy(row))
        self.rows.logsumexp.copy_(statistics.logsumexp(row))

    def _measured(self, z: Tensor, work: Tensor, begin: int) -> RowStatistics:
        """Leave z − m in `work`, and give the statistics."""
        apart, top = z.max(1, keepdim=True)
        label, target = self.rows.given.label, None
        if label is not None:
            target = pick(z, *local(label, begin, z.shape[1], self.spec.num_classes))
        maximum = apart.clamp(min=statistics.lowest(z.dtype))
        torch.sub(z, maximum, out=work)
        p = work.exp()
        energy = statistics.finite(work).mul_(p).sum(1, keepdim=True)
        others = p.scatter_(1, top, 0.0).sum(1, keepdim=True)
        return RowStatistics(maximum, others, apart, energy=energy, target=target, top=top + begin)

    def _derive(self, work: Tensor, begin: int, slope: Tensor | None) -> None:
        """Turn z − m into the gradient under the coefficients of the three statistics."""
        known, row = self.rows.given, self.rows.statistics
        assert row.energy is not None
        assert row.top is not None
        assert known.coefficients is not None
        total = statistics.total(row)
        of_log_prob, of_entropy, of_logsumexp = known.coefficients.split(1, 1)
        p = work.exp().div_(total)
        # log p + H
        outer = statistics.finite(work).sub_(row.energy / total).mul_(of_entropy).neg_().add_(of_logsumexp)
        if known.label is None:
            torch.mul(outer, p, out=work)
        else:
            top, at_top = local(row.top, begin, work.shape[1], self.spec.num_classes)
            label, at_label = local(known.label, begin, work.shape[1], self.spec.num_classes)
            certain = p.gather(1, top)
            peak = outer.gather(1, top) * certain
            peak = peak + of_log_prob * torch.where(known.label == row.top, row.others / total, -certain)
            torch.mul(outer.sub_(of_log_prob), p, out=work)
            put(work, label, at_label, work.gather(1, label) + of_log_prob)
            put(work, top, at_top, peak)
        unload(work, slope)
        clean(work, known.idle, row.others / total * 0)  # nan too where no class is there
