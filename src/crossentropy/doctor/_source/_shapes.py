"""Operations that move axes: where the classes are afterwards, and whether a view has mixed them with the rows."""

from __future__ import annotations

import re

from crossentropy.doctor._source._indexing import as_tensor, times
from crossentropy.doctor._source._values import Call, Dim, Place, Sequence, Shape, Tensor, Unknown, Value


def dims(values: list[Value]) -> list[Value]:
    """Sizes or axes, given one by one or in one list."""
    if len(values) == 1 and isinstance(values[0], (list, tuple)):
        return list(values[0])
    return values


def _lengths(values: list[Value]) -> list[Dim]:
    return [value if isinstance(value, int) else value if isinstance(value, Unknown) else Unknown() for value in values]


def view(x: Tensor, sizes: list[Value], place: Place) -> Tensor:
    """x.view(sizes)."""
    new = _solved(x.shape, _lengths(sizes))
    if x.shape is None:
        last = new[-1] if new else None
        keeps = (
            last is not None
            and (x.count is None or last == x.count)
            and isinstance(last, (int, Unknown))
            and len(new) > 1
        )
        known_axis = -1 if keeps and x.axis in (None, -1) and x.kind not in ("indices", "") else None
        return x.to(shape=new, axis=known_axis, count=last if known_axis else x.count, normal=None, total=None)
    axis = _follow(x.shape, new, x.axis)
    normal = _follow(x.shape, new, x.normal)
    result = x.to(shape=new, axis=axis, normal=normal, total=None)
    if axis is not None:
        return result.to(count=new[axis] if isinstance(new[axis], int) else x.count)
    if x.axis is not None and x.kind not in ("", "indices", "one-hot"):
        return _mixed(x, new, result, place)
    return result


def _mixed(x: Tensor, new: Shape, result: Tensor, place: Place) -> Tensor:
    """Whether the view makes an axis of classes out of numbers that lie elsewhere."""
    if x.shape is None or x.axis is None:
        return result
    count = x.shape[x.axis]
    reads = 1 if len(new) > 1 else 0
    if new and new[min(reads, len(new) - 1)] == count and isinstance(count, int) and count > 1:
        inner = times(x.shape[x.axis :][1:])
        sure = isinstance(inner, int) or x.axis == -1
        return result.to(mixed=place, axis=reads - len(new), count=count, likely=x.likely or not sure)
    return result


def _solved(old: Shape | None, new: list[Dim]) -> Shape:
    """The sizes with −1 replaced by what remains."""
    if new.count(-1) != 1:
        return tuple(new)
    rest: Dim = Unknown()
    if old is not None:
        left = list(old)
        others = [size for size in new if size != -1]
        for size in list(others):
            if size in left:
                left.remove(size)
                others.remove(size)
        have, need = times(tuple(left)), times(tuple(others))
        if not others:
            rest = have
        elif isinstance(have, int) and isinstance(need, int) and need > 0:
            rest = have // need
    return tuple(rest if size == -1 else size for size in new)


def _follow(old: Shape, new: Shape, axis: int | None) -> int | None:
    """The axis that has the size and the stride that an axis had before, counted from the end."""
    if axis is None or axis + len(old) < 0:
        return None
    size = old[axis]
    inner = times(old[len(old) + axis + 1 :])
    for at in range(-1, -len(new) - 1, -1):
        same_inner = times(new[len(new) + at + 1 :]) == inner or (
            inner == 1 and all(d == 1 for d in new[len(new) + at + 1 :])
        )
        if same_inner and (
            new[at] == size or (isinstance(size, Unknown) and isinstance(new[at], int) and at == axis == -1)
        ):
            return at
    return None


def permute(x: Tensor, order: list[Value]) -> Tensor:
    """x.permute(order)."""
    rank = x.rank if x.rank is not None else len(order)
    if not all(type(axis) is int for axis in order) or len(order) != rank or not rank:
        return x.to(shape=None, axis=None, normal=None, total=None)
    moved = [axis % rank for axis in order]

    def where(axis: int | None) -> int | None:
        return None if axis is None or axis % rank not in moved else moved.index(axis % rank) - rank

    shape = None if x.shape is None else tuple(x.shape[axis] for axis in moved)
    if x.rank is None and x.normal is not None and x.normal >= 0:
        return x.to(shape=(*(Unknown() for _ in moved),), axis=where(x.axis), normal=where(x.normal), total=None)
    return x.to(shape=shape, axis=where(x.axis), normal=where(x.normal), total=None)


def transpose(x: Tensor, first: Value, second: Value) -> Tensor:
    """x.transpose(first, second)."""
    rank = x.rank
    if type(first) is not int or type(second) is not int:
        return x.to(shape=None, axis=None, normal=None, total=None)
    if rank is None and {first, second} == {1, 2}:
        rank = 3  # of two axes after the batch, the classes are one
    if rank is None and {first, second} == {-1, -2}:
        swap = {-1: -2, -2: -1}
        return x.to(axis=swap.get(x.axis or 0), normal=swap.get(x.normal or 0), total=None)
    if rank is None or not all(-rank <= axis < rank for axis in (first, second)):
        return x.to(shape=None, axis=None, normal=None, total=None)
    order = list(range(rank))
    order[first], order[second] = order[second], order[first]
    return permute(x, list(order))


def movedim(x: Tensor, source: Value, target: Value) -> Tensor:
    """x.movedim(source, target)."""
    if x.rank is None or type(source) is not int or type(target) is not int or not x.rank:
        return x.to(shape=None, axis=None, normal=None, total=None)
    order = [axis for axis in range(x.rank) if axis != source % x.rank]
    order.insert(target % x.rank, source % x.rank)
    return permute(x, list(order))


def flatten(x: Tensor, start: Value, end: Value, place: Place) -> Tensor:
    """x.flatten(start, end)."""
    if x.shape is None or type(start) is not int or type(end) is not int:
        flat = (Unknown(), Unknown()) if start == 1 else (Unknown(),) if (start, end) == (0, -1) else None
        return x.to(shape=flat, axis=x.axis if end == -2 else None, normal=None, total=None)
    rank = len(x.shape)
    first, last = start % max(rank, 1), end % max(rank, 1)
    return view(x, [*x.shape[:first], times(x.shape[first : last + 1]), *x.shape[last + 1 :]], place)


def unflatten(x: Tensor, axis: Value, sizes: Value, place: Place) -> Tensor:
    """x.unflatten(axis, sizes)."""
    if x.shape is None or type(axis) is not int or not isinstance(sizes, (list, tuple)):
        return x.to(shape=None, axis=None, normal=None, total=None)
    at = axis % len(x.shape)
    return view(x, [*x.shape[:at], *sizes, *x.shape[at + 1 :]], place)


def squeeze(x: Tensor, axis: Value) -> Tensor:
    """x.squeeze(axis)."""
    if x.shape is None:
        return x.to(axis=None, normal=None, count=None, total=None)
    if axis is None:
        gone = [i for i, size in enumerate(x.shape) if size == 1]
    else:
        axes = axis if isinstance(axis, (list, tuple)) else [axis]
        if not all(type(i) is int for i in axes):
            return x.to(shape=None, axis=None, normal=None, total=None)
        gone = [i % len(x.shape) for i in axes if x.shape and x.shape[i % len(x.shape)] == 1]
        if any(isinstance(x.shape[i % len(x.shape)], Unknown) for i in axes if x.shape):
            gone = [i % len(x.shape) for i in axes]
    return _without(x, gone)


def _without(x: Tensor, gone: list[int]) -> Tensor:
    assert x.shape is not None
    kept = [i for i in range(len(x.shape)) if i not in gone]
    shape = tuple(x.shape[i] for i in kept)

    def where(axis: int | None) -> int | None:
        return (
            None
            if axis is None or axis + len(x.shape or ()) not in kept
            else kept.index(axis + len(x.shape or ())) - len(kept)
        )

    axis = where(x.axis)
    return x.to(shape=shape, axis=axis, normal=where(x.normal), count=x.count if axis is not None else None, total=None)


def selected(x: Tensor, axis: Value) -> Tensor:
    """x.select(axis, …)."""
    if not x.shape or type(axis) is not int or not -len(x.shape) <= axis < len(x.shape):
        return x.to(shape=None, axis=None, normal=None, count=None, total=None)
    return _without(x, [axis % len(x.shape)])


def unsqueeze(x: Tensor, axis: Value) -> Tensor:
    """x.unsqueeze(axis)."""
    if x.shape is None or type(axis) is not int:
        return x.to(shape=None, axis=None, normal=None, total=None)
    at = axis if axis >= 0 else axis + len(x.shape) + 1
    shape = (*x.shape[:at], 1, *x.shape[at:])

    def where(old: int | None) -> int | None:
        return None if old is None else old - 1 if old + len(x.shape or ()) < at else old

    return x.to(shape=shape, axis=where(x.axis), normal=where(x.normal), total=None)


def reduced(x: Tensor, axes: Value, keep: Value, **changes: Value) -> Tensor:
    """A tensor without some axes; without all, where none are named."""
    base = x.plain(axis=None, count=None, source=None, mixed=None)
    if axes is None:
        return base.to(shape=(), **changes)
    given = list(axes) if isinstance(axes, (list, tuple)) else [axes]
    if x.shape is None or not all(type(axis) is int and -len(x.shape) <= axis < len(x.shape) for axis in given):
        return base.to(shape=None, **changes)
    gone = [axis % len(x.shape) for axis in given]
    outer = x.axis is not None and x.axis + len(x.shape) not in gone
    kept = x if outer else x.to(axis=None, count=None)
    less = _without(kept, gone)
    axis, count = less.axis, less.count
    if keep is True:
        axis, count = kept.axis, kept.count
        less = kept.to(shape=tuple(1 if i in gone else size for i, size in enumerate(x.shape)))
    in_time = x.source is not None and 1 not in gone
    source = {"source": x.source, "offset": x.offset} if in_time else {}
    return base.to(shape=less.shape, axis=axis, count=count, **source, **changes)


def stacked(call: Call, values: list[Value], new_axis: bool) -> Tensor:
    """Several tensors in one, along an axis of theirs or a new one."""
    given = [as_tensor(value) for value in values]
    tensors = [tensor for tensor in given if new_axis or tensor.shape != (0,)] or given  # to be filled in a loop
    if not tensors:
        return Tensor()
    first = tensors[0]
    axis = call.get("dim", 1, call.get("axis", default=0))
    base = _shared(tensors)
    if new_axis:
        whole = first.source is not None and _cut_alike(tensors)
        base = base.to(source=first.source if whole else Sequence(), offset=first.offset if whole else 0)
    if any(t.rank is None or t.rank != first.rank for t in tensors) or type(axis) is not int or first.shape is None:
        return base.to(axis=None)
    if new_axis:
        return _on_new_axis(base.to(shape=first.shape), axis, len(tensors))
    return _on_axis(base, tensors, first.shape, axis % len(first.shape)) if first.shape else base


def _shared(tensors: list[Tensor]) -> Tensor:
    """What holds of all numbers of several tensors."""
    first = tensors[0]
    alike = all(t.kind == first.kind for t in tensors)
    low = [t.low for t in tensors if isinstance(t.low, int)]
    high = [t.high for t in tensors if isinstance(t.high, int)]
    whole = len(low) == len(high) == len(tensors)
    return Tensor(
        kind=first.kind if alike else "",
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
        likely=any(t.likely for t in tensors),
    )


def _on_new_axis(one: Tensor, axis: int, count: int) -> Tensor:
    at = axis if axis >= 0 else axis + (one.rank or 0) + 1
    result = unsqueeze(one, axis)
    shape = list(result.shape or ())
    if 0 <= at < len(shape):
        shape[at] = count
    return result.to(shape=tuple(shape))


def _on_axis(base: Tensor, tensors: list[Tensor], first: Shape, at: int) -> Tensor:
    sizes = [t.shape[at] for t in tensors if t.shape is not None]
    lengths = [size for size in sizes if isinstance(size, int)]
    shape = (*first[:at], sum(lengths) if len(lengths) == len(sizes) else Unknown(), *first[at + 1 :])
    joins_classes = base.axis is not None and base.axis + len(shape) == at and len(tensors) > 1
    result = base.to(shape=shape, count=shape[at] if joins_classes else base.count)
    return result.to(kind="logits" if result.kind == "logits" else "") if joins_classes else result


def _cut_alike(tensors: list[Tensor]) -> bool:
    """Whether all are cut out of one sequence, at places that have as much in common."""
    first = tensors[0]
    return all(t.source is first.source and t.offset == first.offset for t in tensors)


def rearrange(x: Tensor, pattern: Value, place: Place) -> Tensor:
    """einops.rearrange(x, pattern)."""
    if not isinstance(pattern, str) or "->" not in pattern or x.shape is None or "..." in pattern:
        return x.to(shape=None, axis=None, normal=None, total=None)
    before, after = (re.findall(r"\([^)]*\)|\S+", side) for side in pattern.split("->", 1))
    flat = [name for group in after for name in group.strip("()").split()]
    if len(before) != len(x.shape) or any(group.startswith("(") for group in before) or set(flat) != set(before):
        return x.to(shape=None, axis=None, normal=None, total=None)
    moved = permute(x, [before.index(name) for name in flat])
    size = dict(zip(before, x.shape))
    return view(moved, [times(tuple(size[name] for name in group.strip("()").split())) for group in after], place)
