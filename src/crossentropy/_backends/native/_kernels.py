"""Kernels whose tiles are compiled code's: statistics, loss and gradient of a row while it is in cache.

What belongs to rows is as in the chunked backend: coefficients, results of merged statistics, what makes a gradient.
"""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from crossentropy import _statistics as statistics
from crossentropy._backends.chunked import _cross_entropy, _token_statistics
from crossentropy._backends.chunked._tile import Index, Setting, Tensors, each, keep
from crossentropy._backends.native._library import COMPLETE, DERIVE, DTYPES, MEASURE, Job, run
from crossentropy._loss import LossSpec
from crossentropy._statistics import RowStatistics

FAR = 8 << 20
"""Bytes of a gradient that is written past the caches, if it does not replace the logits;"""
LONG = 1 << 14
"""and of its rows: the ends of short ones are no whole lines."""


class CrossEntropy(_cross_entropy.CrossEntropy):
    """Cross entropy against labels."""

    in_place: ClassVar[bool] = True

    @classmethod
    def of(cls, setting: Setting) -> "CrossEntropy":
        return super().of(_without_tiles(setting))  # pyright: ignore[reportReturnType]

    def chunk(self, index: Index) -> "CrossEntropy":
        return super().chunk(index) if self.blockwise else self.at(index)  # pyright: ignore[reportReturnType]

    def tile(self, logits: Tensors, works: Tensors, *, gradient: bool) -> None:
        job = self._job(COMPLETE, logits[0], works[0] if gradient else None, 0)
        job.read_coefficients(self.rows.given.coefficients)
        job.leave(loss=self.rows.loss, **_places(self.rows.statistics))
        run(job)

    def accumulate(self, logits: Tensor, work: Tensor, begin: int, *, first: bool) -> None:
        row = self.statistics if first else each(self.statistics, torch.empty_like)
        job = self._job(MEASURE, logits, None, begin)
        job.leave(**_places(row))
        run(job)
        if row.weight is not None:
            weight, classes = self._weight(begin, logits), logits.shape[1]
            row.weight.fill_(self._share() * (classes if weight is None else weight.sum()))
        if not first:
            keep(self.statistics, statistics.merge(self.statistics, row))

    def block(self, logits: Tensors, works: Tensors, begin: int) -> None:
        pull, c = self.rows.pull, self.rows.given.coefficients
        assert pull is not None
        assert c is not None
        job = self._job(DERIVE, logits[0], works[0], begin)
        job.read(maximum=self.statistics.maximum, scale=pull.scale, peak=pull.apart)
        job.read_coefficients(c)
        job.read(pull=c * self._share() if self.spec.label_smoothing else None)
        run(job)

    def conclude(self) -> None:
        if self.rows.statistics is not None:  # else the tiles have left their results
            super().conclude()

    def _share(self) -> float:
        """What smoothing puts on each class, times its weight."""
        return self.spec.label_smoothing / self.spec.num_classes

    def _weight(self, begin: int, logits: Tensor) -> Tensor | None:
        return None if self.weight is None else self.weight.flatten()[begin : begin + logits.shape[1]]

    def _job(self, task: int, logits: Tensor, gradient: Tensor | None, begin: int) -> Job:
        job, spec = _job(task, self.spec, logits, gradient, begin), self.spec
        job.share, job.uniform = self._share(), float(self.uniform)
        job.on_label, job.z_loss = 1 - spec.label_smoothing, spec.z_loss
        job.read(label=self.rows.given.target, weight=self._weight(begin, logits))
        return job


@dataclass(frozen=True)
class TokenStatistics(_token_statistics.TokenStatistics):
    """Log-probability of a label (if there is one), entropy, logsumexp and argmax."""

    in_place: ClassVar[bool] = True

    blockwise: bool = False
    """Whether statistics of several blocks of classes are merged."""

    @classmethod
    def of(cls, setting: Setting) -> "TokenStatistics":
        blockwise = setting.plan.strategy == "statistics" or setting.origin is not None
        return replace(super().of(_without_tiles(setting)), blockwise=blockwise)  # pyright: ignore[reportReturnType]

    def tile(self, logits: Tensors, works: Tensors, *, gradient: bool) -> None:
        job, rows = self._job(COMPLETE, logits[0], works[0] if gradient else None, 0), self.rows
        job.leave(loss=rows.log_prob, entropy=rows.entropy, logsumexp=rows.logsumexp, **_places(rows.statistics))
        job.read_coefficients(self._coefficients())
        run(job)

    def accumulate(self, logits: Tensor, work: Tensor, begin: int, *, first: bool) -> None:
        row = self.statistics if first else each(self.statistics, torch.empty_like)
        job = self._job(MEASURE, logits, None, begin)
        job.leave(**_places(row))
        run(job)
        if not first:
            keep(self.statistics, statistics.merge(self.statistics, row))

    def block(self, logits: Tensors, works: Tensors, begin: int) -> None:
        row, given = self.statistics, self.rows.given
        assert row.energy is not None
        assert row.top is not None
        assert given.coefficients is not None
        of_log_prob, of_entropy, of_logsumexp = given.coefficients.split(1, 1)
        total, above = statistics.total(row), row.apart - row.maximum
        mean, certain = row.energy / total, above.exp() / total
        peak = (of_logsumexp - of_entropy * (statistics.finite(above) - mean)) * certain
        if given.label is not None:
            peak = peak + of_log_prob * torch.where(given.label == row.top, row.others / total, -certain)
        else:
            of_log_prob = torch.zeros_like(of_log_prob)
        job = self._job(DERIVE, logits[0], works[0], begin)
        job.read(maximum=row.maximum, top=row.top, peak=peak, extra=of_log_prob)
        job.read_coefficients(self._coefficients())
        job.read(scale=(of_logsumexp - of_log_prob + of_entropy * mean) / total, tilt=-of_entropy / total)
        run(job)

    def conclude(self) -> None:
        if self.blockwise:  # else the tiles have left their results
            super().conclude()

    def _coefficients(self) -> Tensor | None:
        """The coefficients (3, rows) of the three."""
        coefficients = self.rows.given.coefficients
        return None if coefficients is None else coefficients.movedim(1, 0).flatten(1)

    def _job(self, task: int, logits: Tensor, gradient: Tensor | None, begin: int) -> Job:
        job = _job(task, self.spec, logits, gradient, begin)
        job.statistics = 1
        job.read(label=self.rows.given.target)
        return job


def _without_tiles(setting: Setting) -> Setting:
    """A setting in which no kernel makes tiles of its own."""
    return setting._replace(plan=replace(setting.plan, tile=0))


def _job(task: int, spec: LossSpec, logits: Tensor, gradient: Tensor | None, begin: int) -> Job:
    """A job on a tile (N, C) or (N, C, P), from the class `begin` on."""
    outer, classes, inner = (*logits.shape, 1)[:3]
    job = Job(task=task, dtype=DTYPES[logits.dtype], outer=outer, classes=classes, inner=inner, begin=begin)
    job.ignore_index = spec.ignore_index
    scale = spec.logit_scale / spec.temperature
    job.inner_scale, job.outer_scale, job.softcap = scale, 1.0, 0.0
    if spec.softcap is not None:
        job.inner_scale, job.softcap = spec.logit_scale / spec.softcap, spec.softcap
        job.outer_scale = spec.softcap / spec.temperature
    job.read_logits(logits)
    job.leave(gradient=gradient)
    if gradient is not None:
        job.gradient_row, job.gradient_across = gradient.stride(0), gradient.stride(1)
        long = inner > 1 or classes * gradient.itemsize >= LONG
        job.far = int(long and gradient.nbytes >= FAR and gradient.data_ptr() != logits.data_ptr())
    return job


def _places(row: RowStatistics | None) -> dict[str, Any]:
    """Where the statistics go that the library knows; T without the logits, and what belongs to class probabilities."""
    names = ("maximum", "others", "apart", "weighted", "energy", "target", "top")
    return {} if row is None else {name: getattr(row, name) for name in names}
