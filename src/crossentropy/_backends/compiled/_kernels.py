"""What a loss asks of compiled code: a job for each tile, block or chunk."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from crossentropy import _statistics as statistics
from crossentropy._backends.chunked import _cross_entropy, _divergence, _token_statistics
from crossentropy._backends.chunked._tile import Index, Setting, Tensors, each, keep
from crossentropy._backends.compiled._job import Job, Pair, Task
from crossentropy._statistics import RowStatistics


class CrossEntropy(_cross_entropy.CrossEntropy):
    """Cross entropy against labels or class probabilities."""

    in_place: ClassVar[bool] = True

    @staticmethod
    def run(job: Job) -> None:
        """Do a job: the backend's own."""
        raise NotImplementedError

    @classmethod
    def of(cls, setting: Setting) -> "CrossEntropy":
        return super().of(_without_tiles(setting))  # pyright: ignore[reportReturnType]

    def chunk(self, index: Index) -> "CrossEntropy":
        return super().chunk(index) if self.blockwise else self.at(index)  # pyright: ignore[reportReturnType]

    def tile(self, logits: Tensors, works: Tensors, *, gradient: bool) -> None:
        job = self._job(Task.COMPLETE, logits[0], works[0] if gradient else None, 0)
        coefficient = self.rows.given.coefficients
        self.run(replace(job, coefficient=coefficient, loss=self.rows.loss, **_places(self.rows.statistics)))

    def accumulate(self, logits: Tensor, work: Tensor, begin: int, *, first: bool) -> None:
        row = self.statistics if first else each(self.statistics, torch.empty_like)
        self.run(replace(self._job(Task.MEASURE, logits, None, begin), **_places(row)))
        if row.weight is not None and not self.spec.probabilities:
            weight, classes = self._weight(begin, logits), logits.shape[1]
            row.weight.fill_(self._share() * (classes if weight is None else weight.sum()))
        if not first:
            keep(self.statistics, statistics.merge(self.statistics, row))

    def block(self, logits: Tensors, works: Tensors, begin: int) -> None:
        pull, c = self.rows.pull, self.rows.given.coefficients
        assert pull is not None
        assert c is not None
        job = self._job(Task.DERIVE, logits[0], works[0], begin)
        by, row = c * self._share() if self.spec.label_smoothing else None, self.statistics
        self.run(
            replace(job, coefficient=c, maximum=row.maximum, top=row.top, scale=pull.scale, peak=pull.apart, pull=by)
        )

    def conclude(self) -> None:
        if self.rows.statistics is not None:  # else the tiles have left their results
            super().conclude()

    def _share(self) -> float:
        """What smoothing puts on each class, times its weight."""
        return self.spec.label_smoothing / self.spec.num_classes

    def _weight(self, begin: int, logits: Tensor) -> Tensor | None:
        return None if self.weight is None else self.weight.flatten()[begin : begin + logits.shape[1]]

    def _job(self, task: Task, logits: Tensor, gradient: Tensor | None, begin: int) -> Job:
        given, target = self.rows.given, self.rows.probabilities
        if target is not None:
            first = begin - (self.origin or 0)
            target = target[:, first : first + logits.shape[1]]
        return Job(
            task,
            self.spec,
            logits,
            gradient,
            begin,
            label=given.target,
            apart_logit=given.logit,
            probabilities=target,
            weight=self._weight(begin, logits),
            uniform=self.uniform,
        )


@dataclass(frozen=True)
class TokenStatistics(_token_statistics.TokenStatistics):
    """Log-probability of a label (if there is one), entropy, logsumexp and argmax."""

    in_place: ClassVar[bool] = True

    blockwise: bool = False
    """Whether statistics of several blocks of classes are merged."""

    @staticmethod
    def run(job: Job) -> None:
        """Do a job: the backend's own."""
        raise NotImplementedError

    @classmethod
    def of(cls, setting: Setting) -> "TokenStatistics":
        blockwise = setting.plan.blockwise or setting.origin is not None
        return replace(super().of(_without_tiles(setting)), blockwise=blockwise)  # pyright: ignore[reportReturnType]

    def tile(self, logits: Tensors, works: Tensors, *, gradient: bool) -> None:
        job, rows = self._job(Task.COMPLETE, logits[0], works[0] if gradient else None, 0), self.rows
        results = {"loss": rows.log_prob, "entropy": rows.entropy, "logsumexp": rows.logsumexp}
        self.run(replace(job, coefficient=self._coefficients(), **results, **_places(rows.statistics)))

    def accumulate(self, logits: Tensor, work: Tensor, begin: int, *, first: bool) -> None:
        row = self.statistics if first else each(self.statistics, torch.empty_like)
        self.run(replace(self._job(Task.MEASURE, logits, None, begin), **_places(row)))
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
        scale, tilt = (of_logsumexp - of_log_prob + of_entropy * mean) / total, -of_entropy / total
        job = replace(self._job(Task.DERIVE, logits[0], works[0], begin), maximum=row.maximum, top=row.top)
        c = self._coefficients()
        self.run(replace(job, coefficient=c, scale=scale, tilt=tilt, peak=peak, extra=of_log_prob))

    def conclude(self) -> None:
        if self.blockwise:  # else the tiles have left their results
            super().conclude()

    def _coefficients(self) -> Tensor | None:
        """The coefficients (3, rows) of the three."""
        coefficients = self.rows.given.coefficients
        return None if coefficients is None else coefficients.movedim(1, 0).flatten(1)

    def _job(self, task: Task, logits: Tensor, gradient: Tensor | None, begin: int) -> Job:
        given, spec = self.rows.given, self.spec
        return Job(
            task, spec, logits, gradient, begin, statistics=True, label=given.target, apart_logit=given.logit
        )  # fmt: skip


@dataclass(frozen=True)
class Divergence(_divergence.Divergence):
    """Divergence of a student from a teacher, both of them made by heads: gradients replace their logits."""

    in_place: ClassVar[bool] = True

    @staticmethod
    def run(pair: Pair) -> None:
        """Do a job: the backend's own."""
        raise NotImplementedError

    @classmethod
    def of(cls, setting: Setting) -> "Divergence":
        return super().of(_without_tiles(setting))  # pyright: ignore[reportReturnType]

    def tile(self, logits: Tensors, works: Tensors, *, gradient: bool) -> None:
        self._run(Task.COMPLETE, logits, gradient=gradient)

    def compare(self, logits: Tensors, works: Tensors) -> None:
        self._run(Task.MEASURE, logits, gradient=False)

    def block(self, logits: Tensors, works: Tensors, begin: int) -> None:
        self._run(Task.DERIVE, logits, gradient=True)

    def _run(self, task: Task, logits: Tensors, *, gradient: bool) -> None:
        (student, teacher), rows, (of_student, of_teacher) = logits, self.rows, self._sides()
        coefficient = rows.coefficient if gradient else None
        self.run(Pair(task, self.specs, (student, teacher), coefficient, rows.loss, *of_student, *of_teacher))


def _without_tiles(setting: Setting) -> Setting:
    """A setting in which no kernel makes tiles of its own, nor what tiles of complete rows find by themselves."""
    complete = not (setting.plan.blockwise or setting.plan.second_sweep) and setting.origin is None
    return setting._replace(plan=replace(setting.plan, tile=0), bare=complete)


def _places(row: RowStatistics | None) -> dict[str, Any]:
    """Where the statistics go, by the job's names."""
    if row is None:
        return {}
    places = row._asdict()
    return {"mass": places.pop("weight"), **places}
