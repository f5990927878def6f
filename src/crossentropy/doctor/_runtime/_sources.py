"""What made the input of a loss: the softmax, sigmoid, relu or logarithm behind it, however it was written."""

from typing import NamedTuple

from crossentropy.doctor._knowledge._operations import doing
from crossentropy.doctor._runtime._axes import POOLS, source
from crossentropy.doctor._runtime._trace import Trace


class Source(NamedTuple):
    """What made an input, and over which axis."""

    op: str
    trace: Trace
    over: int | None = None
    """The axis of its result that a softmax was taken over, and"""
    at: int | None = None
    """the one that was followed back to it; None where that cannot be told."""
    softmax: Trace | None = None
    """Of the logarithm of a softmax: the softmax."""


def made_by(trace: Trace, axis: int) -> Source:
    """The operation behind an input: "softmax", "log_softmax", "log of softmax", "sigmoid", "relu", or torch's name."""
    made, at = source(trace, axis)
    if made.op == "exp" and made.parents:
        inner = made_by(made.parents[0], at if at is not None else axis)
        if inner.op == "log_softmax":
            return inner._replace(op="softmax")
    if made.op == "div" and _normalised(made):
        return Source("softmax", made)
    if made.op in ("reciprocal", "__rtruediv__", "div") and _logistic(made):
        return Source("sigmoid", made)
    if _of_sigmoids(made):
        return Source("sigmoid", made)
    if _positive_part(made):
        return Source("relu", made)
    if made.op == "log" and made.parents:
        inner = made_by(_through_epsilon(made.parents[0]), at if at is not None else axis)
        if inner.op == "softmax":
            return Source("log of softmax", made, inner.over, inner.at, inner.trace)
    if made.op == "sub" and (normaliser := _minus_normaliser(made)) is not None:
        return Source("log_softmax", made, _axis(normaliser, made), at)
    if made.op in ("softmax", "log_softmax"):
        return Source(made.op, made, _axis(made, made), at)
    if made.op in _LIMITS and made.parents:
        if _cuts_at_zero(made):
            return Source("relu", made)
        if made.op == "clamp":
            return made_by(made.parents[0], axis)
    return Source(made.op, made)


def distribution_axis(trace: Trace, rank: int) -> int:
    """The axis along which log-probabilities are those of one distribution; the last, where that is not known."""
    made = made_by(trace, rank - 1)
    if rank < 3 or made.over is None or made.op != "log_softmax":
        return rank - 1
    olds = [source(trace, axis)[1] for axis in range(rank)]
    return olds.index(made.over) if made.over in olds else rank - 1


_LIMITS = doing("limits")


def _cuts_at_zero(limit: Trace) -> bool:
    """Whether an operation makes numbers below 0 to 0, as a relu does."""
    named = limit.arguments.get
    if limit.op == "clamp":
        return named("min") == 0
    if limit.op == "hardtanh":
        return named("min_val", -1) == 0
    least, value = named("threshold"), named("value")
    return value == 0 and isinstance(least, (int, float)) and least >= 0


def _axis(softmax: Trace, result: Trace) -> int | None:
    """The axis that a softmax, or the logsumexp of one, was taken over."""
    dim = softmax.arguments.get("dim")
    return dim % max(len(result.shape), 1) if isinstance(dim, int) and not isinstance(dim, bool) else None


def _minus_normaliser(difference: Trace) -> Trace | None:
    """The logsumexp in z − logsumexp(z)."""
    if len(difference.parents) != 2:
        return None
    scores, normaliser = (parent.back() for parent in difference.parents)
    if normaliser.op == "logsumexp":
        return normaliser if normaliser.parents[:1] and normaliser.parents[0].back() is scores else None
    total = normaliser.parents[0].back() if normaliser.op == "log" and normaliser.parents else normaliser
    power = total.parents[0].back() if total.op == "sum" and total.parents else total
    same = power.op == "exp" and power.parents[:1] and power.parents[0].back() is scores
    return total if same else None


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


def _of_sigmoids(made: Trace) -> bool:
    """Whether numbers are 1 − sigmoid(z), products, means or maxima of sigmoids, or exp(logsigmoid(z))."""
    if made.op == "exp":
        return bool(made.parents) and made.parents[0].back().op in ("logsigmoid", "log_sigmoid")
    complement = made.op == "rsub" and len(made.parents) == 1 and 1 in made.arguments.values()
    between = made.op in ("mul", "mean", "max", "amax", "prod") or made.op.startswith(POOLS)
    one = made.op != "mul" or len(made.parents) == 2
    return (complement or (between and one)) and bool(made.parents) and all(map(_is_sigmoid, made.parents))


def _positive_part(made: Trace) -> bool:
    """Whether numbers are max(z, 0), z · [z > 0] or a relu times a number."""
    parents = [parent.back() for parent in made.parents]
    if made.op in ("mul", "div") and len(parents) == 1:
        numbers = [n for n in made.arguments.values() if isinstance(n, (int, float))]
        return numbers[0] > 0 and (parents[0].op == "relu" or _positive_part(parents[0])) if numbers else False
    if made.op in ("maximum", "max") and len(parents) == 2:
        return any(parent.op in ("zeros", "zeros_like", "new_zeros") for parent in parents)
    if made.op not in ("mul", "where") or len(parents) not in (2, 3):
        return False
    masks = [parent for parent in parents if parent.op in ("gt", "ge") and 0 in parent.arguments.values()]
    return bool(masks) and masks[0].parents[:1] != () and masks[0].parents[0].back() in parents


def _is_sigmoid(trace: Trace) -> bool:
    made = trace.back()
    return made.op == "sigmoid" or _of_sigmoids(made)


def _through_epsilon(trace: Trace) -> Trace:
    """What a small number was added to, or what was clamped away from 0."""
    made = trace.back()
    while made.op in ("add", "clamp") and len(made.parents) == 1:
        numbers = [v for v in made.arguments.values() if isinstance(v, float)]
        if not numbers or (max(map(abs, numbers)) > 1e-3 and made.op == "add"):
            break
        made = made.parents[0].back()
    return made
