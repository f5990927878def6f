"""A job: rows of logits, what belongs to them, and where the results go.

    COMPLETE    rows of all classes: statistics, results and, if wanted, gradients
    MEASURE     statistics of a block of classes
    DERIVE      gradients of a block of classes, of rows whose statistics are known:

        G = exp(z − m) (scale + tilt (z − m)) − c τ,     at the class apart `peak`;   `extra` is added at the label

    τ = w ((1 − ε) p + ε/C), without p for a label.  c the coefficient, `pull` what it is with ε/C.

Logits are (N, C), or (N, C, P) where positions lie together. What belongs to rows has N · P entries; whatever is None
is not needed, or not wanted.
"""

from dataclasses import dataclass
from enum import IntEnum

from torch import Tensor

from crossentropy._loss import LossSpec


class Task(IntEnum):
    """What there is to do."""

    COMPLETE = 0
    MEASURE = 1
    DERIVE = 2


@dataclass(eq=False)
class Job:
    """One call of compiled code."""

    task: Task
    spec: LossSpec
    logits: Tensor
    gradient: Tensor | None
    """Of the logits' shape, and maybe they."""
    begin: int
    """The first class of the logits, which labels count from 0."""
    statistics: bool = False
    """Token statistics, whose class apart is the largest; else cross entropy, where it is a label if there are some."""
    label: Tensor | None = None
    """int64, as they came: ignored ones, and such as are no class, are found by the code."""
    apart_logit: Tensor | None = None
    """In float32, where they are known better than these logits are."""
    probabilities: Tensor | None = None
    """Instead of labels, of the logits' shape: then the class apart is the largest."""
    weight: Tensor | None = None
    """Of these classes, in float32."""
    uniform: Tensor | float = 0.0
    """Smoothing times the mean weight of all classes."""
    coefficient: Tensor | None = None
    """Of rows, or (3, rows) for the three statistics: one number may stand for all, by strides of 0."""

    loss: Tensor | None = None
    """Or log-probability."""
    entropy: Tensor | None = None
    logsumexp: Tensor | None = None
    maximum: Tensor | None = None
    """From here on what `RowStatistics` has: left by MEASURE, by COMPLETE if wanted; DERIVE needs maximum and top."""
    others: Tensor | None = None
    apart: Tensor | None = None
    weighted: Tensor | None = None
    mass: Tensor | None = None
    """T, against probabilities; and without the class apart:"""
    elsewhere: Tensor | None = None
    energy: Tensor | None = None
    target: Tensor | None = None
    top: Tensor | None = None

    scale: Tensor | None = None
    """From here on what DERIVE needs."""
    tilt: Tensor | None = None
    peak: Tensor | None = None
    pull: Tensor | None = None
    extra: Tensor | None = None

    @property
    def share(self) -> float:
        """What smoothing puts on each class, times its weight."""
        return self.spec.label_smoothing / self.spec.num_classes

    @property
    def sizes(self) -> tuple[int, int, int]:
        """N, C and P."""
        return _sizes(self.logits)


@dataclass(eq=False)
class Pair:
    """One call for rows of two logits, a student's and a teacher's: their divergence, and gradients that replace them.

    COMPLETE leaves all that belongs to rows; MEASURE the part of the divergence that a slice of the classes has, and
    DERIVE gradients of such a slice, of rows of which the rest is known.
    """

    task: Task
    specs: tuple[LossSpec, LossSpec]
    logits: tuple[Tensor, Tensor]
    coefficient: Tensor | None
    """Of rows, where gradients are wanted."""
    loss: Tensor
    maximum: Tensor
    log_total: Tensor
    t_maximum: Tensor
    """Those of the teacher."""
    t_log_total: Tensor

    @property
    def sizes(self) -> tuple[int, int, int]:
        """N, C and P."""
        return _sizes(self.logits[0])


def _sizes(logits: Tensor) -> tuple[int, int, int]:
    outer, classes, inner = (*logits.shape, 1)[:3]
    return outer, classes, inner
