"""Indices of tensors: which axes stay, and how far a cut moves along a sequence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from crossentropy.doctor._knowledge import _axes
from crossentropy.doctor._knowledge._facts import AS_TENSOR, DRAWN, INTEGER, Padding, minus, plus
from crossentropy.doctor._source._values import Dim, Number, Output, Place, Sequence, Shape, Tensor, Unknown, Value


def _entry(value: Unknown) -> Output | None:
    """Of which call's output something unknown is an entry; of what is not called, if the entry has a name."""
    owner = value.owner
    key = None if owner is None else next((key for key, item in owner.members.items() if item is value), None)
    if owner is None or not (isinstance(key, tuple) and len(key) == 1 and isinstance(key[0], (int, str))):
        return None
    whole = owner.members.get(AS_TENSOR)
    if isinstance(whole, Tensor) and whole.caller is not None:
        return replace(whole.caller, path=(*whole.caller.path, key[0]))
    return Output(owner, 0, (), key, called=False) if isinstance(key[0], str) and not owner.foreign else None


def as_tensor(value: Value) -> Tensor:
    """What is used as a tensor; the same unknown value is the same sequence."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, Number):
        return value.tensor
    if isinstance(value, Unknown):
        if AS_TENSOR not in value.members:
            value.members[AS_TENSOR] = Tensor(source=Sequence(), caller=_entry(value))
        source = value.members[AS_TENSOR]
        return source if isinstance(source, Tensor) else Tensor()
    if isinstance(value, bool):
        return Tensor(kind="binary", dtype="bool", shape=(), graph=False)
    if isinstance(value, int):
        return Tensor(kind="indices", dtype="long", shape=(), low=value, high=value, graph=False)
    if isinstance(value, float):
        return Tensor(kind="constant", dtype="float", shape=(), graph=False)
    return Tensor()


def read(x: Tensor) -> Unknown:
    """The integer that is read from a tensor: drawn anew, where it is one of several."""
    whole = x.kind in ("indices", "range", "binary", "bits", "counts") and x.dtype != "float"
    drawn = isinstance(x.low, int) and isinstance(x.high, int) and x.low < x.high
    return Unknown(number=DRAWN if whole and drawn else INTEGER if whole else "")


def index(x: Tensor, key: Value, place: Place) -> Tensor:
    """x[key]; what is cut out of what is cut out has that as its sequence, if not an older one."""
    part = _part(x, key, place)
    if part.fills and _is_column(key):
        part = part.to(fills=frozenset(fill for fill in part.fills if not isinstance(fill, Padding)))
    part = part.to(reduction="none") if part.reduction == "masked" else part
    return part.to(source=Sequence()) if part.source is None and not part.graph else part


def _is_column(key: Value) -> bool:
    """Whether a position counted from the front is taken of all rows, where the padding of short ones is not yet."""
    return isinstance(key, tuple) and len(key) == 2 and key[0] == slice(None) and type(key[1]) is int and key[1] >= 0


def _part(x: Tensor, key: Value, place: Place) -> Tensor:
    keys: list[Value] = list(key) if isinstance(key, tuple) else [key]
    if x.shape is None:
        return _of_unknown_rank(x.to(diagonal=False), keys, place)
    moved = _axes.indexed(x.shape, [_plain(part) for part in keys])
    if moved is None:
        return Tensor(graph=x.graph, dtype=x.dtype, cut=x.cut)
    return _cut(x if all(map(_takes_all, keys)) else _of_some(x), x.shape, keys, moved)


def _takes_all(part: Value) -> bool:
    """Whether a part of an index leaves an axis as it is, or makes a new one."""
    return part is None or part is Ellipsis or part == slice(None)


def _of_some(x: Tensor) -> Tensor:
    """What is true of some rows or columns too."""
    return x.to(diagonal=False, low=None, high=None) if x.kind == "range" else x.to(diagonal=False)


def _plain(part: Value) -> Value:
    """A part of an index as `_axes` takes it; what is not known is a number."""
    if isinstance(part, Tensor):
        if part.dtype == "bool":
            return _axes.Mask(part.rank or 1)
        return _axes.Picked(part.shape if part.shape is not None else (Unknown(),))
    if isinstance(part, (list, range)):
        return _axes.Picked((len(part),))
    return part if part is None or part is Ellipsis or isinstance(part, slice) else 0


def _cut(x: Tensor, shape: Shape, keys: list[Value], moved: _axes.Moved) -> Tensor:
    """The numbers at an index: how long slices are, and how far they begin along a sequence."""
    sizes, offset = list(moved.shape), x.offset
    taken = [axis for axis in moved.origin if axis is not None and axis < len(shape)]
    for part, axis in _by_axis(keys, len(shape)):
        if isinstance(part, slice):
            size, start = _slice(shape[axis], part)
            offset = offset if start == 0 else plus(offset, start)
            if axis in taken:
                sizes[moved.origin.index(axis)] = size
    advanced = [part for part in keys if isinstance(part, (list, range, Tensor))]
    rows = any(isinstance(part, Tensor) and part.dtype == "bool" for part in advanced)
    picked = [part for part in advanced if not (isinstance(part, Tensor) and part.dtype == "bool")]
    source = x.source
    if source is not None and len(shape) > 1 and isinstance(keys[0], (int, Unknown)):
        source = source.row(keys[0])
    picks = any(isinstance(part, (int, Unknown)) for part in keys) and len(keys) > 1
    if picked or any(isinstance(part, slice) and part.step not in (None, 1) for part in keys):
        offset = Unknown()
    new = tuple(Unknown() if size is None else size for size in sizes)
    result = _result(x.to(source=source), new, moved.origin, offset, rows, bool(picked))
    return result.to(picked=True) if picks and x.fills else result


def _by_axis(keys: list[Value], rank: int) -> Iterator[tuple[Value, int]]:
    """The parts of an index, each with the axis it is for."""
    axis = 0
    for at, part in enumerate(keys):
        if part is Ellipsis:
            axis = rank - sum(_axes_taken(after) for after in keys[at + 1 :])
        elif part is not None:
            yield part, axis
            axis += _axes_taken(part)


def _axes_taken(part: Value) -> int:
    if part is None:
        return 0
    return part.rank if isinstance(part, Tensor) and part.dtype == "bool" and part.rank else 1


def _result(x: Tensor, shape: Shape, origin: _axes.Origin, offset: Dim, rows: bool, advanced: bool) -> Tensor:
    axis = _follow(x.axis, x.rank or 0, origin)
    normal = _follow(x.normal, x.rank or 0, origin)
    result = beyond(x, x.to(shape=shape, axis=axis, normal=normal, offset=offset, total=None))
    if axis is not None:
        result = result.to(count=shape[axis])
        if x.kind in ("probabilities", "mixture") and x.axis is not None and shape[axis] != x.size(x.axis):
            result = result.to(kind="column" if shape[axis] == 1 else "")
    if x.axis is not None and axis is None:
        result = result.to(sums=None, share=None, weighed=False)
    if advanced and x.kind == "identity":
        return result.to(kind="one-hot", axis=-1)
    if advanced and not shape:
        return result.to(kind="column" if x.kind == "probabilities" else "")
    if rows:
        return result.to(fills=frozenset(), source=None)
    if x.axis is not None and axis is None and x.kind in ("probabilities", "mixture", "one-hot", "multi-hot"):
        return result.to(kind={"probabilities": "column", "mixture": "sigmoid"}.get(x.kind, "binary"))
    return result


def beyond(x: Tensor, new: Tensor) -> Tensor:
    """Log-probabilities whose axis is taken away, or is one with others now, and that of the classes is there."""
    if x.kind != "log-probabilities" or x.normal is None or x.axis in (None, x.normal) or x.size(x.normal) == 1:
        return new
    if new.normal is not None or new.axis is None or new.rank is None or new.rank >= (x.rank or 0):
        return new
    return new.to(normal=-new.rank - 1)


def _follow(axis: int | None, rank: int, origin: _axes.Origin) -> int | None:
    """Where an axis, counted from the end, is after the cut."""
    if axis is None or axis + rank not in origin:
        return None
    return origin.index(axis + rank) - len(origin)


def _slice(size: Dim, part: slice) -> tuple[Dim, Dim]:
    """The length and the start of a slice of an axis."""
    start, stop = _position(part.start), _position(part.stop)
    if part.step not in (None, 1):
        return Unknown(), 0
    first: Dim = 0 if start is None else start if isinstance(start, (int, Unknown)) else Unknown()
    if isinstance(first, int) and first < 0:
        first = plus(size, first)
    if stop is None:
        last: Dim = size
    elif isinstance(stop, int):
        last = plus(size, stop) if stop < 0 else min(stop, size) if isinstance(size, int) else stop
    else:
        last = stop if isinstance(stop, Unknown) else Unknown()
    length = minus(last, first)
    return (max(length, 0) if isinstance(length, int) else length), first


def _position(value: Value) -> Value:
    """An index; one that is read from a tensor is as far from others read there as was added to it."""
    if isinstance(value, Tensor) and value.rank == 0 and value.source is not None and isinstance(value.offset, int):
        return Unknown(value.source, value.offset)
    return value


def _of_unknown_rank(x: Tensor, keys: list[Value], place: Place) -> Tensor:
    """Of a tensor whose axes are not known: cuts move it along its sequence, numbers may take its classes away."""
    offset = x.offset
    moved = False
    for part in keys:
        if isinstance(part, slice):
            start = _position(part.start)
            if isinstance(start, (int, Unknown)) and start != 0:
                offset = plus(offset, start)
        elif (isinstance(part, Tensor) and part.dtype == "bool") or (part is not None and part is not Ellipsis):
            moved = True
    result = x.to(offset=offset, total=None, normal=None, axis=None if Ellipsis not in keys else x.axis)
    if not moved:
        return result
    if len(keys) > 1 or x.kind in ("indices", "one-hot"):
        kind = "column" if x.kind == "probabilities" else "" if x.kind in ("one-hot", "multi-hot", "loss") else x.kind
        return result.to(kind=kind, source=None, count=None, axis=None, picked=True)
    return result.to(source=None, fills=frozenset() if isinstance(keys[0], Tensor) else x.fills)
