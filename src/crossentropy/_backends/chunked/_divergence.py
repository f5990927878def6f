"""The kernel of the divergence of a student, side 0, from a teacher, side 1.

    ℓ = Σ p' (log p' − log p) − p' + p           G = c (p − p')           G' = c p' (log p' − log p − ℓ)

p = softmax(z) of the student, p' of the teacher · c the row's coefficient, times the derivative of each loading. Each
term is ≥ 0; both rows must be complete, so that no blocks of classes merge. But where the statistics of both are known,
`compare` sums the terms of a slice of the classes.

The divergence of the teacher from the student is the same with p and p' exchanged; `_mixture` has those from a mixture.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple, TypeVar

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
    factor,
    given,
    load,
    shaped,
    unload,
)
from crossentropy._loss import LossSpec
from crossentropy._statistics import Comparison, RowStatistics

_T = TypeVar("_T")
_COMPLETE = "terms of a divergence need both rows complete"


class _Normalizer(NamedTuple):
    """log softmax(z) = (z − maximum) − log_total."""

    maximum: Tensor
    log_total: Tensor


class _Rows(NamedTuple):
    """What belongs to rows, and is cut with them."""

    given: Given
    coefficient: Tensor | None
    """Without the factor of a loading: each side has its own."""
    loss: Tensor
    of_student: Tensor
    """What of the loss is the student's share, where it is a divergence from a mixture."""
    student: _Normalizer
    teacher: _Normalizer


@dataclass(frozen=True)
class Divergence:
    """Divergence of a student from a teacher."""

    in_place: ClassVar[bool] = False

    specs: tuple[LossSpec, LossSpec]
    rows: _Rows
    slopes: tuple[Tensor | None, ...]

    @classmethod
    def of(cls, setting: Setting) -> "Divergence":
        """The kernel of a loss."""
        student, teacher = (side.spec for side in setting.loss.sides)
        c, zeros = setting.coefficient, setting.zeros
        coefficient = None if c is None else setting.rows(c[0]).to(student.dtype)
        sides = _Normalizer(zeros(), zeros()), _Normalizer(zeros(), zeros())
        rows = _Rows(given(setting), coefficient, zeros(), zeros(), *sides)
        return cls((student, teacher), rows, setting.slopes())

    @property
    def dtype(self) -> torch.dtype:
        return self.specs[0].dtype

    @property
    def merges(self) -> bool:
        return False

    @property
    def statistics(self) -> RowStatistics:
        raise NotImplementedError(_COMPLETE)

    def with_statistics(self, row: Comparison) -> "Divergence":
        """The kernel of rows whose logits have these statistics."""
        student, teacher = (_Normalizer(side.maximum, statistics.log_total(side)) for side in row[:2])
        parts = {"loss": row.divergence, "of_student": row.of_student}
        return replace(self, rows=self.rows._replace(student=student, teacher=teacher, **parts))

    def at(self, index: Index) -> "Divergence":
        return replace(self, rows=cut(self.rows, index))

    def chunk(self, index: Index) -> "Divergence":
        return self.at(index)

    def ready(self) -> "Divergence":
        return self

    def results(self) -> tuple[Tensors, None]:
        return (self.rows.loss,), None

    def accumulate(self, logits: Tensor, work: Tensor, begin: int, *, first: bool) -> None:
        raise NotImplementedError(_COMPLETE)

    def conclude(self) -> None:
        """Nothing: the gradient needed the loss already."""

    def tile(self, logits: Tensors, works: Tensors, *, gradient: bool) -> None:
        slopes = []
        for spec, side, slope, x, work in zip(self.specs, self._sides(), self.slopes, logits, works):
            slopes.append(shaped(slope, work) if gradient else None)
            z = load(x, work, spec, slopes[-1])
            top, label = z.max(1, keepdim=True)
            torch.clamp(top, min=statistics.lowest(z.dtype), out=side.maximum)
            torch.sub(z, side.maximum, out=work)
            others = work.exp().scatter_(1, label, 0.0).sum(1, keepdim=True)
            side.log_total.copy_(statistics.log_total(RowStatistics(side.maximum, others, top)))
            work.sub_(side.log_total)
        terms = self._terms(works)
        self._sum(terms)
        if gradient:
            self._derive(works, terms, slopes)

    def compare(self, logits: Tensors, works: Tensors) -> None:
        """Store the sum of the terms of some classes, of rows whose statistics are known."""
        self._load(logits, works)
        self._sum(self._terms(works))

    def block(self, logits: Tensors, works: Tensors, begin: int) -> None:
        slopes = self._load(logits, works)
        self._derive(works, self._terms(works), slopes)

    def _load(self, logits: Tensors, works: Tensors) -> list[Tensor | None]:
        """Leave log softmax in `works`, from what is known of the rows; and give the slopes."""
        slopes = [shaped(slope, work) for slope, work in zip(self.slopes, works)]
        for spec, side, slope, x, work in zip(self.specs, self._sides(), slopes, logits, works):
            torch.sub(load(x, work, spec, slope), side.maximum, out=work).sub_(side.log_total)
        return slopes

    def _sides(self) -> tuple[_Normalizer, _Normalizer]:
        return self.rows.student, self.rows.teacher

    def _order(self, sides: tuple[_T, _T]) -> tuple[_T, _T]:
        """What is believed and what is true: student and teacher, or the other way round."""
        student, teacher = sides
        return (student, teacher) if self.specs[0].mixture.student_share else (teacher, student)

    def _terms(self, works: Tensors) -> Tensors:
        """From the logarithms: q, p, and p (log p − log q): 0 where p = 0, inf where p has underflowed and q is 0."""
        log_q, log_p = self._order((works[0], works[1]))
        p = log_p.exp()
        differences = log_p - log_q
        impossible = differences == torch.inf
        return log_q.exp(), p, differences.masked_fill_(p == 0, 0.0).mul_(p).masked_fill_(impossible, torch.inf)

    def _sum(self, terms: Tensors) -> None:
        q, p, information = terms
        torch.sum(information - p + q, 1, keepdim=True, out=self.rows.loss)

    def _derive(self, works: Tensors, terms: Tensors, slopes: list[Tensor | None]) -> None:
        (q, p, information), rows = terms, self.rows
        assert rows.coefficient is not None
        (of_q, of_p), (believed, true) = self._order((works[0], works[1])), self._order(self.specs)
        torch.sub(q, p, out=of_q).mul_(rows.coefficient * factor(believed))
        torch.sub(information, p.mul_(rows.loss), out=of_p).mul_(rows.coefficient * factor(true))
        self._unload(works, slopes)

    def _unload(self, works: Tensors, slopes: list[Tensor | None]) -> None:
        for work, slope in zip(works, slopes):
            unload(work, slope)
            clean(work, self.rows.given.idle, self.rows.loss * 0)
