"""Following one axis of a tensor back through the operations that moved it."""

import math
from typing import NamedTuple

from crossentropy.doctor._knowledge._axes import class_axis_of, moved
from crossentropy.doctor._knowledge._operations import MOVES, doing
from crossentropy.doctor._runtime._trace import Trace


def source(trace: Trace, axis: int | None) -> tuple[Trace, int | None]:
    """The operation that made the numbers, and the axis of its result that `axis` was; None if it is none."""
    while trace.op in MOVES and trace.parents:
        parent = viewed(trace)
        if axis is not None:
            axis = before(trace, parent, axis)
        trace = parent
    return trace, axis


VIEWS = ("view", "reshape", "resize", "flatten", "unflatten", "ravel", "view_as", "reshape_as")


def viewed(trace: Trace) -> Trace:
    """What an operation moved; of several views, which are as one, what the first was given."""
    parent = trace.parents[0]
    while trace.op in VIEWS and parent.op in VIEWS and parent.parents:
        parent = parent.parents[0]
    return parent


def before(trace: Trace, parent: Trace, axis: int) -> int | None:
    """The axis of the parent that becomes `axis`."""
    if not parent.shape and trace.shape:
        return None
    result = moved(trace.op, parent.shape, {"size": trace.shape, **trace.arguments}) if trace.op not in VIEWS else None
    if result is None and trace.op not in VIEWS and parent.shape == trace.shape:  # nothing was moved
        return axis
    if result is None and math.prod(parent.shape) == math.prod(trace.shape):
        result = moved("view", parent.shape, {"size": trace.shape})
    return None if result is None or axis >= len(result.origin) else result.origin[axis]


POOLS = ("avg_pool", "max_pool", "lp_pool", "adaptive_avg_pool", "adaptive_max_pool", "interpolate", "upsample")
_KEEP_AXES = doing("softmax", "sigmoid", "relu", "limits", "maps", "arithmetic") | {"layer_norm"}


def layer(trace: Trace, axis: int | None) -> tuple[Trace, int | None]:
    """As `source`, and back through what changes numbers but leaves axes what they are: a layer, if there is one."""
    made, at = source(trace, axis)
    while class_axis_of(made.op, len(made.shape)) is None and (inner := _within(made)) is not None:
        made, at = source(inner, at)
    return made, at


def _within(trace: Trace) -> Trace | None:
    """What an operation changed number by number, or pooled; other tensors may be there for all rows."""
    if not trace.parents or not trace.shape or not (trace.op in _KEEP_AXES or trace.op.startswith(POOLS)):
        return None
    whole, *others = sorted(trace.parents, key=lambda parent: -len(parent.shape))
    same = len(whole.shape) == len(trace.shape)
    return whole if same and all(len(other.shape) < 2 for other in others) else None


class MixingView(NamedTuple):
    """A view in which an axis ceases to be one, or becomes another."""

    view: Trace
    of: Trace
    """What it is a view of."""
    axis: int
    """The axis of the view."""


def mixing_view(trace: Trace, axis: int) -> MixingView | None:
    """The view that made an axis; None where another operation did that."""
    found: MixingView | None = None
    while trace.parents and (trace.op in MOVES or _within(trace) is not None):
        if trace.op not in MOVES:
            trace = _within(trace) or trace
            continue
        parent = viewed(trace)
        at = before(trace, parent, axis)
        if trace.op in VIEWS and parent.shape != trace.shape:
            found = found or MixingView(trace, parent, axis)
            if at is None:
                return MixingView(trace, parent, axis)
        if at is None:
            return None
        trace, axis = parent, at
    return found


def part_of(view: MixingView, axis: int) -> bool:
    """Whether an axis of a view is part of one axis of what it is a view of."""
    size, inner = view.view.shape[view.axis], math.prod(view.view.shape[view.axis + 1 :])
    whole, within = view.of.shape[axis], math.prod(view.of.shape[axis + 1 :])
    return inner % within == 0 and (whole * within) % (inner * size) == 0


def whole_axes(view: MixingView, several: int) -> bool:
    """Whether an axis of a view is made of whole axes, at least so many."""
    size, inner = view.view.shape[view.axis], math.prod(view.view.shape[view.axis + 1 :])
    shape = view.of.shape
    runs = ((i, j) for j in range(len(shape)) for i in range(j + 2 - several) if math.prod(shape[j + 1 :]) == inner)
    return any(math.prod(shape[i : j + 1]) == size for i, j in runs)
