"""Following one axis of a tensor back through the operations that moved it."""

import math

from crossentropy.doctor._runtime._trace import MOVES, Trace


def source(trace: Trace, axis: int) -> tuple[Trace, int | None]:
    """The operation that made the numbers, and the axis of its result that `axis` was; None if it is none."""
    at: int | None = axis
    while trace.op in MOVES and trace.parents:
        parent = viewed(trace)
        if at is not None:
            at = before(trace, parent, at)
        trace = parent
    return trace, at


VIEWS = ("view", "reshape", "flatten", "unflatten", "ravel")


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
    rank = len(parent.shape)
    numbers = [x for x in _flat(trace.arguments) if isinstance(x, int) and not isinstance(x, bool)]
    if trace.op in ("transpose", "swapaxes", "swapdims") and len(numbers) >= 2:
        first, second = (n % rank for n in numbers[:2])
        return {first: second, second: first}.get(axis, axis)
    if trace.op in ("t", "T", "mT") and rank == 2:
        return 1 - axis
    if trace.op == "permute" and len(numbers) == rank:
        return numbers[axis] % rank
    if trace.op in ("movedim", "moveaxis") and len(numbers) == 2:
        old, new = (n % rank for n in numbers)
        order = [i for i in range(rank) if i != old]
        order.insert(new, old)
        return order[axis]
    if trace.op == "__getitem__":
        return _by_index(trace.arguments.get("1"), rank, axis)
    if trace.op in ("select", "unbind", "stack"):
        return _by_dim(trace, rank, axis)
    if parent.shape == trace.shape or (rank == len(trace.shape) and trace.op in _CUTS):
        return axis
    return _by_sizes(parent.shape, trace.shape, axis)


_CUTS = {"narrow", "chunk", "split", "cat", "concat", "gather", "expand", "index_select", "masked_select"}


def _by_dim(trace: Trace, rank: int, axis: int) -> int | None:
    """The axis of a tensor of some rank that is `axis` after one was made or left out."""
    dim = trace.arguments.get("dim", trace.arguments.get("1", 0))
    if not isinstance(dim, int):
        return None
    if trace.op != "stack":
        return axis + (axis >= dim % rank)
    made = dim % (rank + 1)
    return None if axis == made else axis - (axis > made)


def _by_index(index: object, rank: int, axis: int) -> int | None:
    """The axis of a tensor of some rank that is left as `axis` by an index of numbers, slices and None."""
    parts = list(index) if isinstance(index, tuple) else [index]
    if index is None or any(isinstance(part, (list, str, float)) for part in parts):
        return None
    given = sum(part is not None and part is not Ellipsis for part in parts)
    rest = [slice(None)] * (rank - given)
    if Ellipsis in parts:
        at = parts.index(Ellipsis)
        parts[at : at + 1] = rest
    else:
        parts += rest
    kept: list[int | None] = []
    old = 0
    for part in parts:
        if part is None:
            kept.append(None)
            continue
        if isinstance(part, slice):
            kept.append(old)
        old += 1
    return kept[axis] if axis < len(kept) else None


def _by_sizes(old: tuple[int, ...], new: tuple[int, ...], axis: int) -> int | None:
    """The axis of the old shape with the size and the stride that the axis has in the new one."""
    inner = math.prod(new[axis + 1 :])
    found = [i for i, size in enumerate(old) if size == new[axis] and math.prod(old[i + 1 :]) == inner]
    return found[0] if found and math.prod(old) == math.prod(new) else None


def _flat(arguments: dict[str, object]) -> list[object]:
    result: list[object] = []
    for value in arguments.values():
        result += list(value) if isinstance(value, (tuple, list)) else [value]
    return result
