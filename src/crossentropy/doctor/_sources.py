"""What made the input of a loss: the softmax, sigmoid, relu or logarithm behind it, however it was written."""

from typing import NamedTuple

from crossentropy.doctor._axes import source
from crossentropy.doctor._trace import Trace


class Source(NamedTuple):
    """What made an input, and over which axis."""

    op: str
    trace: Trace
    right_axis: bool | None
    """Whether a softmax is over the axis that the loss takes for the classes; None if that cannot be told."""
    softmax: Trace | None = None
    """Of the logarithm of a softmax: the softmax."""


def made_by(trace: Trace, axis: int) -> Source:
    """The operation behind an input: "softmax", "log_softmax", "log of softmax", "sigmoid", "relu", or torch's name."""
    made, at = source(trace, axis)
    if made.op in ("exp", "exponential") and made.parents:
        inner = made_by(made.parents[0], at if at is not None else axis)
        if inner.op == "log_softmax":
            return inner._replace(op="softmax")
    if made.op == "div" and _normalised(made):
        return Source("softmax", made, None)
    if made.op in ("reciprocal", "__rdiv__", "__rtruediv__", "div") and _logistic(made):
        return Source("sigmoid", made, None)
    if made.op == "log" and made.parents:
        inner = made_by(_through_epsilon(made.parents[0]), at if at is not None else axis)
        if inner.op == "softmax":
            return Source("log of softmax", made, inner.right_axis, inner.trace)
    if made.op in ("softmax", "log_softmax", "softmin"):
        return Source(made.op, made, _same_axis(made, at))
    if made.op == "clamp" and made.parents:
        lowest = [v for k, v in made.arguments.items() if k in ("1", "min")]
        return Source("relu", made, None) if lowest[:1] == [0] else made_by(made.parents[0], axis)
    return Source(made.op, made, None)


def _same_axis(softmax: Trace, axis: int | None) -> bool | None:
    dim = softmax.arguments.get("dim", softmax.arguments.get("1"))
    if not isinstance(dim, int) or isinstance(dim, bool) or axis is None:
        return None
    return dim % max(len(softmax.shape), 1) == axis


def _normalised(division: Trace) -> bool:
    """Whether a quotient is exp(z) / Σ exp(z)."""
    if len(division.parents) != 2:
        return False
    above, below = (parent.back() for parent in division.parents)
    return above.op == "exp" and below.op == "sum" and below.parents[:1] == (above,)


def _logistic(quotient: Trace) -> bool:
    """Whether a quotient is 1 / (1 + exp(−z))."""
    below = quotient.parents[-1].back() if quotient.parents else quotient
    if below.op != "add" or len(below.parents) != 1 or 1 not in below.arguments.values():
        return False
    power = below.parents[0].back()
    return power.op == "exp" and bool(power.parents) and power.parents[0].back().op in ("neg", "mul")


def _through_epsilon(trace: Trace) -> Trace:
    """What a small number was added to, or what was clamped away from 0."""
    made = trace.back()
    while made.op in ("add", "clamp") and len(made.parents) == 1:
        numbers = [v for v in made.arguments.values() if isinstance(v, float)]
        if not numbers or (max(map(abs, numbers)) > 1e-3 and made.op == "add"):
            break
        made = made.parents[0].back()
    return made
