"""Which axis is which after an operation that moves numbers: views, permutations, indices, cats, reductions.

    x (2, 3, 5).permute(2, 0, 1).reshape(5, 6)      shape (5, 2, 3), origin (2, 0, 1); then (5, 6), origin (0, None)

The origin says of each axis of the result which axis of the input it was; None where it is new, or made of several. A
size is a number, or any object that stands for one that is not known: it is equal to itself alone. Then two products
of sizes are equal if their numbers are and their symbols are, each as often as in the other. In a result None stands
for a size that cannot be told.

Arguments have torch's names, as `_signatures.bound` gives them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

Size: TypeAlias = Any
"""A number; an object that stands for one; None."""
Shape: TypeAlias = tuple[Size, ...]
Origin: TypeAlias = "tuple[int | None, ...]"
Given: TypeAlias = Mapping[str, Any]


class Moved(NamedTuple):
    """What an operation makes of a shape."""

    shape: Shape
    origin: Origin


Rule: TypeAlias = Callable[[Shape, Given], "Moved | None"]


def moved(operation: str, shape: Shape, given: Given) -> Moved | None:
    """What an operation makes of a shape; None where that is not known, or torch refuses it.

    Of several tensors that an operation makes, all have one origin; the shape is that of the first. Of several that
    it takes, the shape is that of the first.
    """
    rule = RULES.get(operation)
    try:
        return None if rule is None else rule(shape, given)
    except (IndexError, KeyError, TypeError, ValueError):  # arguments that are not known, or wrong
        return None


def classes_last(shape: Shape, target: Shape) -> bool:
    """Whether a target has labels along all axes but the last, and cannot have them along all but the second."""
    if len(shape) < 3 or len(target) != len(shape) - 1 or _differ(shape[:1], target[:1]):
        return False
    return target[1:] == shape[1:-1] and _differ(shape[2:], target[1:])


def _differ(first: Shape, second: Shape) -> bool:
    """Whether shapes of as many axes are certainly not the same."""
    return any(isinstance(a, int) and isinstance(b, int) and a != b for a, b in zip(first, second))


def class_axis_of(operation: str, rank: int) -> int | None:
    """The axis on which an operation with weights puts its outputs; None where it has no such axis."""
    if operation.startswith("conv"):
        at = rank - 1 - int(operation[-2])
        return at if at >= 0 else None
    if operation == "batch_norm":
        return 1 if rank > 1 else None
    return rank - 1 if operation in ("linear", "addmm", "matmul", "bilinear") and rank else None


# --- sizes ----------------------------------------------------------------------------------------------------------


def product(sizes: Sequence[Size]) -> Size:
    """The product of sizes; None where no one size is that."""
    return _size(*_factors(sizes))


def _factors(sizes: Sequence[Size]) -> tuple[int, Counter[Size]]:
    """The number and the symbols in a product."""
    symbols = [size for size in sizes if not isinstance(size, int)]
    return math.prod(size for size in sizes if isinstance(size, int)), Counter(symbols)


def _size(number: int, symbols: Counter[Size]) -> Size:
    if not symbols:
        return number
    return next(iter(symbols)) if number == 1 and symbols.total() == 1 else None


def keeps_within(old: Shape, axis: int, new: Shape) -> bool:
    """Whether a view keeps what is within one place of an axis in one place: whether an axis begins where it does."""
    inner = _factors(old[axis % len(old) + 1 :])
    return any(_factors(new[begin:]) == inner for begin in range(len(new) + 1))


def _solved(old: Shape, new: Sequence[Size]) -> Shape:
    """The sizes with −1 replaced by what remains."""
    if list(new).count(-1) != 1:
        return tuple(new)
    (have, symbols), (need, others) = _factors(old), _factors([size for size in new if size != -1])
    fits = need > 0 and have % need == 0 and others <= symbols
    rest = _size(have // need, symbols - others) if fits else None
    return tuple(rest if size == -1 else size for size in new)


def viewed(old: Shape, sizes: Sequence[Size]) -> Moved:
    """The same numbers in the same order: an axis stays where one has its size, and as many numbers within it."""
    new = _solved(old, sizes)

    def was(axis: int) -> int | None:
        size, inner = new[axis], _factors(new[axis + 1 :])
        same = (i for i in range(len(old)) if old[i] == size is not None and _factors(old[i + 1 :]) == inner)
        return next(same, None)

    return Moved(new, tuple(was(axis) for axis in range(len(new))))


# --- axes -----------------------------------------------------------------------------------------------------------


def _axis(value: Any, rank: int) -> int:  # noqa: ANN401 (an argument)
    """An axis, counted from the front."""
    if type(value) is not int or not -max(rank, 1) <= value < max(rank, 1):
        raise IndexError(value)
    return value % max(rank, 1)


def _axes(value: Any, rank: int) -> list[int]:  # noqa: ANN401
    return [_axis(axis, rank) for axis in (value if isinstance(value, (list, tuple)) else (value,))]


def _sizes(value: Any) -> Sequence[Size]:  # noqa: ANN401
    if isinstance(value, (list, tuple)):
        return value
    raise TypeError(value)


def _kept(shape: Shape, axes: Sequence[int]) -> Moved:
    """Some of the axes, in some order."""
    return Moved(tuple(shape[axis] for axis in axes), tuple(axes))


def _resized(shape: Shape, axis: int, size: Size) -> Moved:
    """The same axes, one of them with another size."""
    if axis >= len(shape):
        raise IndexError(axis)
    return Moved((*shape[:axis], size, *shape[axis + 1 :]), tuple(range(len(shape))))


def _same(shape: Shape, given: Given) -> Moved:
    return _kept(shape, range(len(shape)))


def _view(shape: Shape, given: Given) -> Moved:
    return viewed(shape, _sizes(next((given[name] for name in ("size", "shape", "sizes") if name in given), None)))


def _flatten(shape: Shape, given: Given) -> Moved:
    if not shape:
        return viewed(shape, [1])
    start, end = _axis(given.get("start_dim", 0), len(shape)), _axis(given.get("end_dim", -1), len(shape))
    return viewed(shape, [*shape[:start], product(shape[start : end + 1]), *shape[end + 1 :]])


def _unflatten(shape: Shape, given: Given) -> Moved:
    at, sizes = _axis(given["dim"], len(shape)), _sizes(given["sizes"])
    return viewed(shape, [*shape[:at], *_solved(shape[at : at + 1], sizes), *shape[at + 1 :]])


def _permute(shape: Shape, given: Given) -> Moved:
    order = _axes(_sizes(given["dims"]), len(shape))
    if sorted(order) != list(range(len(shape))):
        raise ValueError(order)
    return _kept(shape, order)


def _transpose(shape: Shape, given: Given) -> Moved:
    order = list(range(len(shape)))
    first, second = _axis(given["dim0"], len(shape)), _axis(given["dim1"], len(shape))
    if order:
        order[first], order[second] = order[second], order[first]
    return _kept(shape, order)


def _matrix(shape: Shape, given: Given) -> Moved:
    """t, H: of at most two axes."""
    return _kept(shape, range(len(shape))[::-1]) if len(shape) <= 2 else _transpose(shape, {"dim0": -2, "dim1": -1})


def _reversed(shape: Shape, given: Given) -> Moved:
    return _kept(shape, range(len(shape))[::-1])


def _last_two(shape: Shape, given: Given) -> Moved:
    return _transpose(shape, {"dim0": -2, "dim1": -1})


def _movedim(shape: Shape, given: Given) -> Moved:
    old, new = _axes(given["source"], len(shape)), _axes(given["destination"], len(shape))
    if not shape:
        return _same(shape, given)
    rest = iter([axis for axis in range(len(shape)) if axis not in old])
    to = dict(zip(new, old))
    return _kept(shape, [to[axis] if axis in to else next(rest) for axis in range(len(shape))])


def _squeeze(shape: Shape, given: Given) -> Moved:
    """Without the axes of size 1; one that is named and has an unknown size is of size 1."""
    dim = given.get("dim")
    named = range(len(shape)) if dim is None else _axes(dim, len(shape))
    gone = [i for i in named if shape and (shape[i] == 1 or (dim is not None and not isinstance(shape[i], int)))]
    return _kept(shape, [i for i in range(len(shape)) if i not in gone])


def _unsqueeze(shape: Shape, given: Given) -> Moved:
    at = _axis(given["dim"], len(shape) + 1)
    axes = range(len(shape))
    return Moved((*shape[:at], 1, *shape[at:]), (*axes[:at], None, *axes[at:]))


def _without(shape: Shape, given: Given) -> Moved:
    gone = _axis(given.get("dim", 0), len(shape))
    return _kept(shape, [axis for axis in range(len(shape)) if axis != gone])


def _diagonal(shape: Shape, given: Given) -> Moved:
    """Of two axes; what is left of them is the last."""
    two = [_axis(given.get("dim1", 0), len(shape)), _axis(given.get("dim2", 1), len(shape))]
    first, second = (shape[axis] for axis in two)
    kept = [axis for axis in range(len(shape)) if axis not in two]
    size = None if given.get("offset", 0) != 0 else _shorter(first, second)
    return Moved((*(shape[axis] for axis in kept), size), (*kept, None))


def _shorter(first: Size, second: Size) -> Size:
    """The smaller of two sizes."""
    if isinstance(first, int) and isinstance(second, int):
        return min(first, second)
    return first if first == second else None


def _diag(shape: Shape, given: Given) -> Moved:
    """The diagonal of a matrix, or the matrix with a diagonal."""
    if len(shape) == 1:
        size = shape[0] if given.get("diagonal", 0) == 0 else None
        return Moved((size, size), (None, None))
    return _diagonal(shape, {"offset": given.get("diagonal", 0)})


def _narrow(shape: Shape, given: Given) -> Moved:
    return _resized(shape, _axis(given["dim"], len(shape)), given.get("length"))


def _select_many(shape: Shape, given: Given) -> Moved:
    return _resized(shape, _axis(given["dim"], len(shape)), None)


def _reduced(shape: Shape, given: Given) -> Moved:
    """Sums, means and the like, along some axes or all."""
    dim = given.get("dim")
    gone = range(len(shape)) if dim is None or dim in ((), []) else _axes(dim, len(shape))
    if given.get("keepdim") is True:
        axes = [None if axis in gone else axis for axis in range(len(shape))]
        return Moved(tuple(1 if axis is None else shape[axis] for axis in axes), tuple(axes))
    return _kept(shape, [axis for axis in range(len(shape)) if axis not in gone])


def _flat(shape: Shape, given: Given) -> Moved:
    return Moved((None,), (None,))


# --- several tensors -------------------------------------------------------------------------------------------------


def _cat(shape: Shape, given: Given) -> Moved:
    return _resized(shape, _axis(given.get("dim", 0), len(shape)), None)


def _stack(shape: Shape, given: Given) -> Moved:
    new = _unsqueeze(shape, {"dim": given.get("dim", 0)})
    return Moved(tuple(None if old is None else size for size, old in zip(*new)), new.origin)


def _vstack(shape: Shape, given: Given) -> Moved:
    if len(shape) < 2:
        return Moved((None, *(shape or (1,))), (None, 0 if shape else None))
    return _cat(shape, {})


def _hstack(shape: Shape, given: Given) -> Moved:
    return _cat(shape, {"dim": 0 if len(shape) < 2 else 1}) if shape else Moved((None,), (None,))


def _split(shape: Shape, given: Given) -> Moved:
    at = _axis(given.get("dim", 0), len(shape))
    sizes = split_sizes(shape[at], given.get("split_size", given.get("split_size_or_sections")))
    return _resized(shape, at, sizes[0] if sizes else None)


def split_sizes(whole: Size, size: Any) -> list[Size] | None:  # noqa: ANN401
    """How long the parts are; None where it is not known how many there are."""
    if isinstance(size, (list, tuple)):
        return list(size)
    if type(size) is int and size > 0 and isinstance(whole, int):
        return [min(size, whole - begin) for begin in range(0, max(whole, 1), size)]
    return None


def _chunk(shape: Shape, given: Given) -> Moved:
    at = _axis(given.get("dim", 0), len(shape))
    return _resized(shape, at, (chunk_sizes(shape[at], given.get("chunks")) or [None])[0])


def chunk_sizes(whole: Size, chunks: Any) -> list[Size] | None:  # noqa: ANN401
    """How long the chunks are, of which there may be fewer than were asked for."""
    if type(chunks) is not int or chunks < 1:
        return None
    return split_sizes(whole, max(-(-whole // chunks), 1)) if isinstance(whole, int) else [None] * chunks


def _tensor_split(shape: Shape, given: Given) -> Moved:
    return _resized(shape, _axis(given.get("dim", 0), len(shape)), None)


def _hsplit(shape: Shape, given: Given) -> Moved:
    return _resized(shape, 0 if len(shape) < 2 else 1, None)


def _vsplit(shape: Shape, given: Given) -> Moved:
    return _resized(shape, 0, None)


# --- copies ---------------------------------------------------------------------------------------------------------


def _expand(shape: Shape, given: Given) -> Moved:
    sizes = _sizes(given["size"])
    new = len(sizes) - len(shape)
    old = [None] * new + list(range(len(shape)))
    stays = [axis is not None and size in (-1, shape[axis]) for size, axis in zip(sizes, old)]
    result = [shape[axis] if axis is not None and stay else size for size, axis, stay in zip(sizes, old, stays)]
    return Moved(tuple(result), tuple(axis if stay else None for axis, stay in zip(old, stays)))


def _repeat(shape: Shape, given: Given) -> Moved:
    times = list(_sizes(given["repeats"] if "repeats" in given else given["dims"]))
    if "dims" in given:
        times = [1] * (len(shape) - len(times)) + times
    new = len(times) - len(shape)
    old: list[int | None] = [None] * new + list(range(len(shape)))
    sizes = [product([count, 1 if axis is None else shape[axis]]) for count, axis in zip(times, old)]
    return Moved(tuple(sizes), tuple(axis if count == 1 else None for count, axis in zip(times, old)))


def _interleave(shape: Shape, given: Given) -> Moved:
    if given.get("dim") is None:
        return _flat(shape, given)
    at = _axis(given["dim"], len(shape))
    result = _resized(shape, at, None)
    return Moved(result.shape, tuple(None if axis == at else axis for axis in result.origin))


def _gather(shape: Shape, given: Given) -> Moved:
    at = _axis(given["dim"], len(shape)) if given.get("dim") is not None else 0
    return Moved((None,) * len(shape), tuple(None if axis == at else axis for axis in range(len(shape))))


def _as_strided(shape: Shape, given: Given) -> Moved:
    """Of a contiguous tensor."""
    sizes, strides = _sizes(given["size"]), _sizes(given["stride"])
    of = {(size, product(shape[axis + 1 :])): axis for axis, size in enumerate(shape)}
    return Moved(tuple(sizes), tuple(of.get(key) for key in zip(sizes, strides)))


# --- indices --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Picked:
    """A list or a tensor of positions, of some shape."""

    shape: Shape


@dataclass(frozen=True)
class Mask:
    """A tensor of truths, of so many axes."""

    rank: int


def indexed(shape: Shape, index: Sequence[Any]) -> Moved | None:
    """x[index]: numbers, slices, None, Ellipsis, `Picked` and `Mask`; what is cut by a slice has the size None."""
    keys = _complete(shape, list(index))
    if keys is None:
        return None
    several = [i for i, key in enumerate(keys) if isinstance(key, (Picked, Mask))]
    result: list[tuple[Size, int | None]] = []
    picked: list[tuple[Size, int | None]] = []
    at = axis = 0
    for i, key in enumerate(keys):
        if key is None:
            result.append((1, None))
        elif isinstance(key, slice):
            result.append((shape[axis] if key == slice(None) else None, axis))
        elif i in several:
            at = len(result) if i == several[0] else at
            picked = _together(picked, key, axis if len(several) == 1 else None)
        axis += 0 if key is None else key.rank if isinstance(key, Mask) else 1
    if several and _apart(keys, several):
        at = 0
    result[at:at] = picked
    return Moved(tuple(size for size, _ in result), tuple(old for _, old in result))


def _complete(shape: Shape, keys: list[Any]) -> list[Any] | None:
    """An index with a key for each axis."""
    taken = sum(key.rank if isinstance(key, Mask) else key is not None and key is not Ellipsis for key in keys)
    rest = [slice(None)] * (len(shape) - taken)
    if taken > len(shape):
        return None
    for i, key in enumerate(keys):
        if key is Ellipsis:
            return [*keys[:i], *rest, *keys[i + 1 :]]
    return [*keys, *rest]


def _together(
    before: list[tuple[Size, int | None]], key: Picked | Mask, axis: int | None
) -> list[tuple[Size, int | None]]:
    """The axes that lists and tensors of positions leave, which are broadcast together."""
    if isinstance(key, Mask):
        new: list[tuple[Size, int | None]] = [(None, axis if key.rank == 1 else None)]
    else:
        new = [(size, axis if len(key.shape) == 1 else None) for size in key.shape]
    return new if len(new) > len(before) else before


def _apart(keys: list[Any], several: list[int]) -> bool:
    """Whether lists and tensors of positions have a slice or a new axis between them: what they leave goes first."""
    between = keys[several[0] : several[-1]]
    return any(key is None or isinstance(key, slice) for key in between)


def _index(shape: Shape, given: Given) -> Moved | None:
    key = given["indices"]
    return indexed(shape, key if isinstance(key, tuple) else (key,))


RULES: dict[str, Rule] = {
    **dict.fromkeys(("view", "reshape", "resize", "view_as", "reshape_as"), _view),
    "flatten": _flatten, "ravel": lambda x, given: _flatten(x, {}), "unflatten": _unflatten,
    "permute": _permute, "transpose": _transpose, "t": _matrix, "H": _matrix, "T": _reversed, "mT": _last_two,
    "movedim": _movedim, "squeeze": _squeeze, "unsqueeze": _unsqueeze,
    "select": _without, "unbind": _without, "diagonal": _diagonal, "diag": _diag,
    "narrow": _narrow, "index_select": _select_many, "__getitem__": _index,
    "split": _split, "chunk": _chunk, "tensor_split": _tensor_split, "hsplit": _hsplit, "vsplit": _vsplit,
    "cat": _cat, "stack": _stack, "vstack": _vstack, "hstack": _hstack,
    "expand": _expand, "expand_as": _expand, "repeat": _repeat, "tile": _repeat, "repeat_interleave": _interleave,
    **dict.fromkeys(("gather", "take_along_dim"), _gather), "masked_select": _flat, "take": _flat,
    "as_strided": _as_strided, **dict.fromkeys(("flip", "fliplr", "flipud", "roll"), _same),
    **dict.fromkeys(("sum", "mean", "prod", "amax", "amin", "max", "min", "argmax", "argmin", "std", "var", "all",
                     "any", "median", "mode", "nanmean", "nansum", "logsumexp", "norm", "count_nonzero"), _reduced),
}  # fmt: skip
"""By the names of `_operations`."""
