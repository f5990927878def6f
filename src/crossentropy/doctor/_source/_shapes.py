"""Operations that move axes: where the classes are afterwards, and whether a view has mixed them with the rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from crossentropy.doctor._knowledge import _axes
from crossentropy.doctor._knowledge._facts import times
from crossentropy.doctor._source._indexing import as_tensor, beyond
from crossentropy.doctor._source._values import Dim, Place, Sequence, Shape, Tensor, Unknown, Value, length


def dims(values: list[Value]) -> list[Value]:
    """Sizes or axes, given one by one or in one list."""
    if len(values) == 1 and isinstance(values[0], (list, tuple)):
        return list(values[0])
    return values


def _lengths(values: Value) -> list[Dim]:
    given = values if isinstance(values, (list, tuple)) else [values]
    return list(map(length, given))


def moved(x: Tensor, name: str, given: Mapping[str, Value], place: Place | None = None) -> Tensor:
    """A tensor after an operation that moves its numbers; `given` are the arguments by torch's names."""
    if x.shape is None:
        return _of_unknown_rank(x, name, given)
    if name == "squeeze" and given.get("dim") is None and any(isinstance(size, Unknown) for size in x.shape[1:]):
        return _squeezed(x)
    sizes = _lengths(given["size"]) if "size" in given and name in _WITH_SIZES else []
    shape = _with_classes(x, x.shape, sizes) if name in _VIEWS else x.shape
    result = _axes.moved(name, shape, {**given, "size": sizes} if sizes else given)
    if result is None:
        return lost(x)
    new = _laid_out(x, result)
    if name in _VIEWS and x.axis is None and not x.kind and _gathers(x.shape, sizes):
        return new.to(mixed=place, likely=True)
    if name not in _VIEWS or x.axis is None:
        return new
    new = beyond(x, new)
    if new.axis is not None or x.kind in ("", "indices", "one-hot"):
        return new
    if x.axis != -1 and result.origin[-1:] == (None,) and not _axes.keeps_within(shape, x.axis, new.shape or ()):
        return _across(x, new, place)
    return _mixed(x, new, place)


def _gathers(shape: Shape, new: list[Dim]) -> bool:
    """Whether rows become as long as axis 1 is, which others follow: (N, C, H, W) as (−1, C)."""
    return len(shape) > 2 == len(new) and isinstance(new[1], Unknown) and new[1] == shape[1] not in (*shape[2:],)


_VIEWS = ("view", "reshape", "view_as", "reshape_as", "flatten", "ravel", "unflatten")
_WITH_SIZES = ("view", "reshape", "view_as", "reshape_as", "expand", "expand_as")


def lost(x: Tensor) -> Tensor:
    """The numbers of a tensor in a shape that is not known."""
    return x.to(shape=None, axis=None, normal=None, total=None)


def _squeezed(x: Tensor) -> Tensor:
    """Without the axes of size 1, of which some may be: those beside the samples whose size is not known."""
    last = isinstance(size := x.size(-1), int) and size != 1
    axis, normal = (-1 if last and at == -1 else None for at in (x.axis, x.normal))
    return lost(x).to(axis=axis, normal=normal)


def _laid_out(x: Tensor, result: _axes.Moved) -> Tensor:
    """A tensor whose axes are others."""
    rank = x.rank or 0
    axis, normal = (None if at is None else after(result, at + rank) for at in (x.axis, x.normal))
    if x.normal is not None and x.normal < -rank:
        normal = -len(result.origin) - 1
    shape = tuple(size if isinstance(size, (int, Unknown)) else Unknown() for size in result.shape)
    count = x.count if x.axis is None else None if axis is None else shape[axis]
    count = x.count if isinstance(count, Unknown) and x.count is not None else count
    return x.to(shape=shape, axis=axis, normal=normal, count=count, total=None)


def after(result: _axes.Moved, axis: int) -> int | None:
    """Where an axis is now, counted from the end."""
    return result.origin.index(axis) - len(result.origin) if axis in result.origin else None


def _with_classes(x: Tensor, shape: Shape, new: list[Dim]) -> Shape:
    """The shape that a view is given: where the last axis has the classes and their number is not known, it is told."""
    told = x.axis == -1 and new and isinstance(shape[-1], Unknown) and isinstance(new[-1], int) and new[-1] > 0
    return (*shape[:-1], new[-1]) if told else shape


def _across(x: Tensor, new: Tensor, place: Place | None) -> Tensor:
    """A view whose last axis, of as many numbers as there are classes or anchors have, holds neighbours in space."""
    if x.shape is None or x.axis is None or not new.shape:
        return new
    outputs, classes = x.shape[x.axis], new.shape[-1]
    if not isinstance(outputs, int) or not isinstance(classes, int) or classes < 2 or outputs % classes:
        return _mixed(x, new, place)
    return _mixing(x, new, place, -1, classes)


def _mixed(x: Tensor, new: Tensor, place: Place | None) -> Tensor:
    """A view that makes the axis that a loss reads out of numbers that lie elsewhere, or not."""
    if x.shape is None or x.axis is None or not new.shape:
        return new
    count, reads = x.shape[x.axis], 1 if len(new.shape) > 1 else 0
    if new.shape[reads] == count and count != 1:
        return _mixing(x, new, place, reads - len(new.shape), count)
    return new


def _mixing(x: Tensor, new: Tensor, place: Place | None, axis: int, count: Dim) -> Tensor:
    sure = x.axis == -1 or all(isinstance(size, int) for size in (x.shape or ())[x.axis :])
    return new.to(mixed=place, axis=axis, count=count, likely=x.likely or not sure)


def _of_unknown_rank(x: Tensor, name: str, given: Mapping[str, Value]) -> Tensor:
    """A tensor of which it is not known how many axes it has, and what an operation tells of them."""
    told = _TOLD.get(name)
    return lost(x) if told is None else told(x, given)


def _view_of_unknown_rank(x: Tensor, given: Mapping[str, Value]) -> Tensor:
    new = tuple(Unknown() if size == -1 else size for size in _lengths(given["size"]))
    last = new[-1] if len(new) > 1 else None
    keeps = last is not None and (x.count is None or last == x.count)
    axis = -1 if keeps and x.axis in (None, -1) and x.kind not in ("indices", "") else None
    normal = -1 if axis == x.axis == x.normal == -1 else None
    return x.to(shape=new, axis=axis, count=last if axis else x.count, normal=normal, total=None)


def _flatten_of_unknown_rank(x: Tensor, given: Mapping[str, Value]) -> Tensor:
    start, end = given.get("start_dim", 0), given.get("end_dim", -1)
    if type(start) is not int or type(end) is not int:
        return lost(x)
    flat = (Unknown(), Unknown()) if start == 1 else (Unknown(),) if (start, end) == (0, -1) else None
    return x.to(shape=flat, axis=x.axis if end == -2 else None, normal=None, total=None)


def _permute_of_unknown_rank(x: Tensor, given: Mapping[str, Value]) -> Tensor:
    """A permutation names each axis."""
    shape = (*(Unknown() for _ in given.get("dims", ())),)
    result = _axes.moved("permute", shape, given)
    return lost(x) if result is None or not shape else _told(x, result)


def _transpose_of_unknown_rank(x: Tensor, given: Mapping[str, Value]) -> Tensor:
    axes = (given.get("dim0"), given.get("dim1"))
    if not all(type(axis) is int for axis in axes):
        return lost(x)
    if set(axes) == {1, 2}:  # of two axes after the batch, the classes are one
        result = _axes.moved("transpose", (Unknown(), Unknown(), Unknown()), given)
        return lost(x) if result is None else _told(x, result)
    swap = {-1: -2, -2: -1} if set(axes) == {-1, -2} else {}
    return x.to(axis=swap.get(x.axis or 0), normal=swap.get(x.normal or 0), total=None)


def _told(x: Tensor, result: _axes.Moved) -> Tensor:
    """Axes of a tensor whose number has been told by an operation; a softmax's is counted from the front."""
    rank = len(result.origin)
    axis, normal = (None if at is None else after(result, at % rank) for at in (x.axis, x.normal))
    shape = (*(Unknown() for _ in result.origin),) if x.normal is not None and x.normal >= 0 else None
    return x.to(shape=shape, axis=axis, normal=normal, total=None)


_TOLD: dict[str, Callable[[Tensor, Mapping[str, Value]], Tensor]] = {
    "view": _view_of_unknown_rank, "reshape": _view_of_unknown_rank, "flatten": _flatten_of_unknown_rank,
    "ravel": lambda x, given: _flatten_of_unknown_rank(x, {}), "permute": _permute_of_unknown_rank,
    "transpose": _transpose_of_unknown_rank, "squeeze": lambda x, given: lost(x).to(count=None),
    "select": lambda x, given: lost(x).to(count=None),
    "t": lambda x, given: _permute_of_unknown_rank(x, {"dims": (1, 0)}),
    "T": lambda x, given: _transpose_of_unknown_rank(x, {"dim0": -2, "dim1": -1}),
    "mT": lambda x, given: _transpose_of_unknown_rank(x, {"dim0": -2, "dim1": -1}),
}  # fmt: skip


def reduced(x: Tensor, axes: Value, keep: Value, **changes: Value) -> Tensor:
    """A tensor without some axes; without all, where none are named."""
    base = x.plain(axis=None, count=None, source=None, mixed=None)
    if axes is None and keep is not True:
        return base.to(shape=(), **changes)
    result = None if x.shape is None else _axes.moved("sum", x.shape, {"dim": axes, "keepdim": keep is True})
    if result is None:
        return base.to(shape=None, **changes)
    less = _laid_out(x, result)
    in_time = x.source is not None and 1 in result.origin
    source = {"source": x.source, "offset": x.offset} if in_time else {}
    count = less.count if less.axis is not None else None
    return base.to(shape=less.shape, axis=less.axis, count=count, **source, **changes)


def joined(name: str, values: list[Value], given: Mapping[str, Value], counted: bool = True) -> Tensor:
    """Several tensors in one, along an axis of theirs or a new one; `counted` says whether it is known how many."""
    whole = [as_tensor(value) for value in values]
    tensors = [one for one in whole if name == "stack" or one.shape != (0,)] or whole  # to be filled in a loop
    if not tensors:
        return Tensor()
    first, base = tensors[0], _shared(tensors)
    if name == "stack":
        alike = first.source is not None and _cut_alike(tensors)
        base = base.to(source=first.source if alike else Sequence(), offset=first.offset if alike else 0)
    alike = first.shape is not None and all(t.rank == first.rank for t in tensors)
    result = _axes.moved(name, first.shape, given) if alike and first.shape is not None else None
    return base.to(axis=None) if result is None else _on_axis(base.to(shape=first.shape), tensors, result, counted)


def _shared(tensors: list[Tensor]) -> Tensor:
    """What holds of all numbers of several tensors."""
    first = tensors[0]
    alike = all(t.kind == first.kind for t in tensors)
    low = [t.low for t in tensors if isinstance(t.low, int)]
    high = [t.high for t in tensors if isinstance(t.high, int)]
    whole = len(low) == len(high) == len(tensors)
    return Tensor(
        kind=("indices" if first.kind == "range" and len(tensors) > 1 else first.kind) if alike else "",
        made=first.made,
        dtype=first.dtype,
        graph=True if any(t.graph for t in tensors) else first.graph,
        cut=first.cut,
        low=min(low) if whole else None,
        high=max(high) if whole else None,
        fills=frozenset().union(*(t.fills for t in tensors)),
        parts=frozenset().union(*(t.parts for t in tensors)),
        reduction=first.reduction,
        logs=next((t.logs for t in tensors if t.logs is not None), None),
        axis=first.axis if alike else None,
        count=first.count,
        normal=first.normal,
        mixed=next((t.mixed for t in tensors if t.mixed is not None), None) if alike else None,
        likely=any(t.likely for t in tensors),
    )


def _on_axis(base: Tensor, tensors: list[Tensor], result: _axes.Moved, counted: bool) -> Tensor:
    """Tensors one after the other along the axis whose length their shape does not tell."""
    at = result.shape.index(None)
    old = result.origin[at]
    lengths = [1 if old is None else t.shape[old] if t.shape else Unknown() for t in tensors]
    known = [length for length in lengths if isinstance(length, int)]
    whole = sum(known) if counted and len(known) == len(lengths) else Unknown()
    new = _laid_out(base, _axes.Moved((*result.shape[:at], whole, *result.shape[at + 1 :]), result.origin))
    if old is None or new.axis is None or new.axis + len(result.shape) != at or len(tensors) == 1:
        return new
    return new.to(kind="logits" if new.kind == "logits" else "", count=whole)


def _cut_alike(tensors: list[Tensor]) -> bool:
    """Whether all are cut out of one sequence, at places that have as much in common."""
    first = tensors[0]
    return all(t.source is first.source and t.offset == first.offset for t in tensors)


def rearrange(x: Tensor, pattern: Value, place: Place) -> Tensor:
    """einops.rearrange(x, pattern)."""
    if not isinstance(pattern, str) or "->" not in pattern or x.shape is None or "..." in pattern:
        return lost(x)
    before, after = (re.findall(r"\([^)]*\)|\S+", side) for side in pattern.split("->", 1))
    flat = [name for group in after for name in group.strip("()").split()]
    if len(before) != len(x.shape) or any(group.startswith("(") for group in before) or set(flat) != set(before):
        return lost(x)
    permuted = moved(x, "permute", {"dims": [before.index(name) for name in flat]}, place)
    size = dict(zip(before, x.shape))
    groups = [[size[name] for name in group.strip("()").split()] for group in after]
    return moved(permuted, "view", {"size": [times(tuple(sizes)) for sizes in groups]}, place)
