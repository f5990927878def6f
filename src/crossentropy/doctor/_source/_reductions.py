"""Reductions: sums, means and extremes along axes."""

from __future__ import annotations

from crossentropy.doctor._source import _masks, _shapes
from crossentropy.doctor._source._arithmetic import CHOSEN, DIVERGENCE, RANKED, TERMS, WEIGHTED
from crossentropy.doctor._source._indexing import as_tensor
from crossentropy.doctor._source._report import MASKED, Report
from crossentropy.doctor._source._values import Call, Sequence, Tensor, Value


def argmax(report: Report, x: Tensor, call: Call) -> Tensor:
    """The index of the largest entry."""
    axis = call.get("dim", 1, call.get("axis"))
    _chosen(report, x, axis, call)
    less = _shapes.reduced(x, axis, call.get("keepdim", 2, False))
    size = x.size(axis) if type(axis) is int else None
    top = size - 1 if isinstance(size, int) else None
    return less.to(kind="indices", dtype="long", graph=False, cut=call.place if x.graph else x.cut, made=call.place,
                   low=0 if top is not None else None, high=top, axis=None, count=None, source=Sequence(),
                   logs=None)  # fmt: skip


def _chosen(report: Report, x: Tensor, axis: Value, call: Call) -> None:
    """The class of each row is chosen by a softmax over the rows, which makes those of one class comparable only."""
    over_rows = x.kind == "probabilities" and x.rank == 2 and (x.normal, x.axis) == (-2, -1)
    if over_rows and axis in (1, -1):
        report.wrong_dim(x, -1, call.place, "likely")


def reduce(report: Report, x: Tensor, call: Call) -> Value:
    """Any other reduction."""
    axis = call.get("dim", 1, call.get("axis"))
    return _shapes.reduced(x, axis, call.get("keepdim", 2, call.get("keepdims", default=False)))


def _united(x: Tensor, axis: Value, result: Tensor) -> Tensor:
    """The largest numbers over several one-hot rows: a one for each of them."""
    if x.kind != "one-hot" or x.rank is None or x.axis is None or type(axis) is not int:
        return result
    at = axis if axis < 0 else axis - x.rank
    several = at != x.axis and -x.rank <= at and x.shape is not None and x.shape[at] != 1
    return result.to(kind="multi-hot", made=x.made) if several and result.axis is not None else result


def amax(report: Report, x: Tensor, call: Call) -> Value:
    """The largest entries."""
    return _united(x, call.get("dim", 1), reduce(report, x, call))


def truths(report: Report, x: Tensor, call: Call) -> Value:
    """Whether all or any hold: known where all are alike."""
    found = _shapes.reduced(x, call.get("dim", 1, call.get("axis")), call.get("keepdim", 2, default=False))
    if x.kind == "one-hot":
        return _united(x, call.get("dim", 1), found).to(dtype="bool")
    return found.to(low=x.low, high=x.high, dtype="bool") if x.dtype == "bool" else found


def extreme(report: Report, x: Tensor, call: Call) -> Value:
    """The largest or smallest entries, and where they are."""
    axis = call.get("dim", 1)
    if axis is None:
        return _shapes.reduced(x, None, False)
    if isinstance(axis, Tensor):
        return x.plain()
    less = _shapes.reduced(x, axis, call.get("keepdim", 2, False))
    return (_united(x, axis, less), argmax(report, x, call))


def largest(report: Report, x: Tensor, call: Call) -> Value:
    """The largest entries of each row, and where they are."""
    return (
        x.plain(kind=RANKED if x.kind == "logits" else "", made=call.place, axis=None, count=None, shape=None),
        Tensor(kind="indices", dtype="long", graph=False),
    )


def buckets(report: Report, x: Tensor, call: Call) -> Tensor:
    """Which interval each number is in; there is one more than bounds."""
    bounds = call.get("boundaries", 1, call.get("bins"))
    size = len(bounds) if isinstance(bounds, (list, tuple)) else as_tensor(bounds).size(0)
    high = size if isinstance(size, int) else None
    return Tensor(kind="indices", made=call.place, shape=x.shape, dtype="long", graph=False,
                  low=None if high is None else 0, high=high, source=Sequence())  # fmt: skip


def mean(report: Report, x: Tensor, call: Call) -> Value:
    """Means; of losses, means of means may be among them."""
    axis = call.get("dim", 1, call.get("axis"))
    keep = call.get("keepdim", 2, False)
    if x.parts:
        if len(x.parts) > 1 and axis in (None, 0):
            report.divided(x, call.place)
        if x.kind == DIVERGENCE and _takes_classes(x, axis):
            report.mean_of_classes(x, call.place)
        reduction = "mean" if x.reduction == "none" and axis is None else x.reduction
        made = x.made
        if reduction == MASKED:
            made, reduction = call.place, _masks.averaged(report, x, axis, call.place)
        return _shapes.reduced(x, axis, keep, made=made, kind=_reduced_kind(x, axis), reduction=reduction)
    result = _shapes.reduced(x, axis, keep, made=x.made)
    if x.kind == "logits":
        return result.to(kind="logits")
    rows = type(axis) is int and x.normal is not None and not _is_axis(x, axis, x.normal)
    return result.to(kind="mixture") if x.kind in ("probabilities", "mixture") and rows else result


def _reduced_kind(loss: Tensor, axis: Value) -> str:
    """Of a sum or mean: the terms of a divergence are a loss when those of all classes are together."""
    return "loss" if loss.kind == DIVERGENCE and (loss.normal is None or _takes_classes(loss, axis)) else loss.kind


def _takes_classes(x: Tensor, axis: Value) -> bool:
    return axis is None or _is_axis(x, axis, x.normal)


def _is_axis(x: Tensor, axis: Value, other: int | None) -> bool:
    """Whether two axes are the same, as far as is known: the mean of a softmax over its own axis would say nothing."""
    if type(axis) is not int or other is None or (x.rank is not None and other < -x.rank):
        return False
    return axis == other if x.rank is None or not x.rank else axis % x.rank == other % x.rank


def total(report: Report, x: Tensor, call: Call) -> Value:
    """Sums; what was summed is remembered, so that dividing by it is seen."""
    axis = call.get("dim", 1, call.get("axis"))
    keep = call.get("keepdim", 2, call.get("keepdims", default=False))
    result = _shapes.reduced(x, axis, keep, made=x.made)
    if x.parts:
        return result.to(
            kind=_reduced_kind(x, axis), reduction="sum" if x.reduction in ("none", MASKED) else x.reduction
        )
    if x.kind == TERMS:
        _by_hand(report, x, axis, call)
        report.summed(x, call.place)
    if x.kind == WEIGHTED and _is_axis(x, axis, x.normal):
        return result.to(kind="mixture", axis=-1, count=x.count)
    if x.kind == "one-hot" and type(axis) is int and x.rank is not None and x.size(axis - x.rank * (axis >= 0)) == 1:
        return result.to(kind="one-hot", axis=-1, count=x.count)
    if x.kind == "one-hot" and axis == 0 and (x.rank is None or x.rank > 2):
        return result.to(kind="votes", axis=-1, count=x.count)
    if x.kind == CHOSEN and _is_axis(x, axis, x.normal):
        return result.to(kind="column", normal=None)
    if x.kind == "one-hot" and x.rank is not None and axis not in (-1, x.rank - 1) and axis is not None:
        return result.to(kind="multi-hot", axis=-1, count=x.count)
    if x.kind in ("votes", "multi-hot"):
        return result.to(total=x if keep is True else None)
    normal = axis - x.rank if type(axis) is int and axis >= 0 and x.rank is not None else axis
    return result.to(
        kind="logits" if x.kind == "logits" else "",
        total=x if keep is True else None,
        normal=normal if type(normal) is int else None,
    )


def _by_hand(report: Report, terms: Tensor, axis: Value, call: Call) -> None:
    """A sum of p · log q over the classes of p, of a log_softmax over another axis."""
    own = _is_axis(terms, axis, terms.normal)
    if _is_axis(terms, axis, terms.axis) and terms.normal is not None and not own and terms.rank != 1:
        report.wrong_dim(terms, axis, call.place, "likely" if terms.rank is None and terms.normal != 0 else "certain")


def logsumexp(report: Report, x: Tensor, call: Call) -> Value:
    """The logarithm of the sum of exponentials."""
    result = total(report, x, call)
    return result.to(kind="logsumexp")
