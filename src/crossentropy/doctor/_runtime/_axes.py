"""Following one axis of a tensor back through the operations that moved it."""

import math

from crossentropy.doctor._knowledge._axes import moved
from crossentropy.doctor._knowledge._operations import MOVES
from crossentropy.doctor._runtime._trace import Trace


def source(trace: Trace, axis: int) -> tuple[Trace, int | None]:
    """The operation that made the numbers, and the axis of its result that `axis` was; None if it is none."""
    at: int | None = axis
    while trace.op in MOVES and trace.parents:
        parent = viewed(trace)
        if at is not None:
            at = before(trace, parent, at)
        trace = parent
    return trace, at


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


def mixing_view(trace: Trace, axis: int) -> Trace | None:
    """The view in which an axis ceases to be one, or becomes another; None where another operation does that."""
    found: Trace | None = None
    while trace.op in MOVES and trace.parents:
        parent = viewed(trace)
        at = before(trace, parent, axis)
        if trace.op in VIEWS and parent.shape != trace.shape:
            found = found or trace
            if at is None:
                return trace
        if at is None:
            return None
        trace, axis = parent, at
    return found
