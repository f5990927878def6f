"""Functions that make tensors out of numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from crossentropy.doctor._knowledge._facts import is_integer, minus, plus
from crossentropy.doctor._source import _shares
from crossentropy.doctor._source._indexing import as_tensor, read
from crossentropy.doctor._source._shapes import dims
from crossentropy.doctor._source._values import (
    Call,
    External,
    Maybe,
    Number,
    Padding,
    Sequence,
    Shape,
    SomePadding,
    Tensor,
    Unknown,
    Value,
    is_counted,
    length,
)

_FLOATS = ("float", "double", "half", "bfloat16")
_INTEGERS = ("long", "int", "short", "uint8")


def dtype_of(value: Value) -> str:
    """float, long or bool; empty where it is not known."""
    if not isinstance(value, (External, str)):
        return ""
    name = value if isinstance(value, str) else value.name.rpartition(".")[2]
    if any(part in name.lower() for part in _FLOATS):
        return "float"
    if any(part in name for part in _INTEGERS) or name.endswith("LongTensor"):
        return "long"
    return "bool" if "bool" in name else ""


def is_floating(dtype: External) -> bool:
    """dtype.is_floating_point."""
    return dtype_of(dtype) == "float"


def same_dtype(a: External, b: External) -> bool | None:
    """Whether two are the same dtype; of a tensor's it is not known how many bits it has."""
    known = dtype_of(a), dtype_of(b)
    return a == b if "" in known or a == b or known[0] != known[1] else None


def shape_of(values: list[Value]) -> Shape | None:
    """A shape that is given by numbers, or by one tuple."""
    told = len(values) == 1 and isinstance(values[0], (list, tuple))
    values = dims(values)
    if len(values) == 1 and isinstance(values[0], Unknown) and not told and not is_integer(values[0]):
        return None
    return tuple(
        read(v) if isinstance(v, Tensor) else length(v)
        for v in values
    )  # fmt: skip


def _filled(call: Call, kind: str, dtype: str = "float", **facts: Value) -> Tensor:
    """A tensor of a shape that is given first."""
    sizes = [call.kwargs["size"]] if "size" in call.kwargs else call.args
    graph = call.kwargs.get("requires_grad") is True
    given = dtype_of(call.kwargs.get("dtype"))
    return Tensor(kind=kind, made=call.place, shape=shape_of(sizes), dtype=given or dtype, graph=graph, **facts)


def _uniform(call: Call) -> Tensor:
    """Numbers in [0, 1); one alone, or one for each row, may weigh others."""
    x = _filled(call, "uniform")
    return x.to(share=_shares.drawn()) if x.shape is not None and (not x.shape or x.shape[-1] == 1) else x


def share(shape: Shape | None = ()) -> Tensor:
    """Numbers in [0, 1] that weigh others, as of a beta distribution."""
    return Tensor(kind="uniform", dtype="float", shape=shape, graph=False, share=_shares.drawn())


def _like(kind: str, **facts: Value) -> Callable[[Call], Tensor]:
    def make(call: Call) -> Tensor:
        x = as_tensor(call.get("input", 0))
        return Tensor(
            kind=kind,
            made=call.place,
            shape=x.shape,
            dtype=dtype_of(call.kwargs.get("dtype")) or x.dtype,
            graph=False,
            **facts,
        )

    return make


def _full(call: Call) -> Tensor:
    shape, value = call.get("size", 0), call.get("fill_value", 1)
    return _constant(value, shape_of([shape]), call)


def _full_like(call: Call) -> Tensor:
    return _constant(call.get("fill_value", 1), as_tensor(call.get("input", 0)).shape, call)


def _constant(value: Value, shape: Shape | None, call: Call) -> Tensor:
    dtype = dtype_of(call.kwargs.get("dtype")) or ("float" if isinstance(value, float) else "long")
    if value == -math.inf:
        return Tensor(kind="banned", made=call.place, shape=shape, dtype="float", graph=False)
    if type(value) in (int, Padding):
        bounds: dict[str, Value] = {} if isinstance(value, Padding) else {"low": value, "high": value}
        fills: frozenset[Value] = frozenset({value} if isinstance(value, Padding) or value < 0 else ())
        return Tensor(kind="indices", made=call.place, shape=shape, dtype=dtype, graph=False, fills=fills,
                      source=Sequence(), **bounds)  # fmt: skip
    return Tensor(
        kind="constant", made=call.place, shape=shape, dtype="float" if isinstance(value, float) else "", graph=False
    )


def _randint(call: Call) -> Tensor:
    """randint(high, size), randint(low, high, size), and numpy's, whose size may be absent."""
    args = list(call.args)
    size = call.get("size", default=None)
    if (size is None and args and isinstance(args[-1], (tuple, list, Unknown)) and len(args) > 1) or (
        size is None and len(args) == 3
    ):
        size = args.pop()
    low = call.kwargs.get("low", args[0] if len(args) > 1 else 0)
    high = call.kwargs.get("high", args[-1] if args else Unknown())
    low = low if isinstance(low, (int, Unknown)) else Unknown()
    top = minus(high, 1) if isinstance(high, (int, Unknown)) else Unknown()
    shape = () if size is None else shape_of([size])
    return Tensor(kind="indices", made=call.place, shape=shape, dtype=dtype_of(call.kwargs.get("dtype")) or "long",
                  graph=False, low=low, high=top, source=Sequence())  # fmt: skip


def _arange(call: Call) -> Tensor:
    numbers = [*call.args, *(call.kwargs[name] for name in ("start", "end", "step") if name in call.kwargs)]
    if any(isinstance(number, float) for number in numbers):
        return Tensor(made=call.place, shape=(Unknown(),), dtype="float", graph=False)
    low, high = (0, numbers[0]) if len(numbers) == 1 else (numbers[0], numbers[1]) if numbers else (0, Unknown())
    low = low if isinstance(low, (int, Unknown)) else Unknown()
    high = high if isinstance(high, (int, Unknown)) else Unknown()
    size, last = (minus(high, low), minus(high, 1)) if len(numbers) < 3 else (Unknown(), Unknown())
    return Tensor(kind="range", made=call.place, shape=(size,), dtype="long", graph=False, low=low, high=last,
                  source=Sequence())  # fmt: skip


def _eye(call: Call) -> Tensor:
    n = call.get("n", 0, Unknown())
    size = n if isinstance(n, (int, Unknown)) else Unknown()
    dtype = dtype_of(call.kwargs.get("dtype")) or "float"
    return Tensor(kind="identity", made=call.place, shape=(size, size), dtype=dtype, graph=False, axis=-1)


def tensor(call: Call) -> Tensor:
    """torch.tensor(data), np.array(data): a new tensor without a graph."""
    data = call.get("data", 0, call.get("object"))
    dtype = dtype_of(call.get("dtype", 1))
    if isinstance(data, (Tensor, Number)):
        old = as_tensor(data)
        cut = call.place if old.graph or old.parts else old.cut
        leaf = call.kwargs.get("requires_grad") is True
        return old.to(graph=False, cut=cut, dtype=dtype or old.dtype, kind="" if leaf and old.parts else old.kind)
    if isinstance(data, (list, tuple, range, int, float)):
        return _of_numbers(data, dtype, call)
    return Tensor(dtype=dtype, graph=False, source=Sequence()) if dtype else as_tensor(data).to(cut=None)


def _of_dtype(dtype: str) -> Callable[[Call], Tensor]:
    """torch.LongTensor(data) and the like, which are given sizes or data."""

    def make(call: Call) -> Tensor:
        if len(call.args) != 1 or isinstance(call.args[0], int):
            return Tensor(shape=shape_of(call.args), dtype=dtype, graph=False)
        return tensor(call).to(dtype=dtype)

    return make


def _of_numbers(data: Value, dtype: str, call: Call) -> Tensor:
    leaves = list(_leaves(data))
    inner = next((leaf for leaf in leaves if isinstance(leaf, Tensor)), None)
    shape = _shape_of_data(data)
    if inner is not None and shape is not None:
        shape = None if inner.shape is None else (*shape, *inner.shape)
    graphs = frozenset(part for leaf in leaves if isinstance(leaf, (Tensor, Number)) for part in as_tensor(leaf).parts)
    cut = call.place if graphs or any(isinstance(leaf, Tensor) and leaf.graph for leaf in leaves) else None
    facts: dict[str, Value] = {"made": call.place, "shape": shape, "graph": False, "parts": graphs, "cut": cut}
    if graphs:
        first = next(as_tensor(leaf) for leaf in leaves if isinstance(leaf, (Tensor, Number)))
        return Tensor(kind="loss", dtype="float", reduction=first.reduction, **facts)
    if inner is not None and inner.kind == "indices":
        return inner.to(dtype=dtype or inner.dtype, **facts)
    floats = any(isinstance(leaf, float) for leaf in leaves)
    if floats and (hot := _hot(data)):
        return Tensor(kind=hot, dtype=dtype or "float", axis=-1, **facts)
    if floats or not leaves or not all(isinstance(leaf, (int, Unknown)) for leaf in leaves):
        return Tensor(kind="constant" if floats else "", dtype=dtype or ("float" if floats else ""), **facts)
    if all(isinstance(leaf, bool) for leaf in leaves):
        return Tensor(kind="binary", dtype=dtype or "bool", **facts)
    return _of_integers(data, leaves, dtype, facts)


def _of_integers(data: Value, leaves: list[Value], dtype: str, facts: dict[str, Value]) -> Tensor:
    numbers = [leaf for leaf in leaves if isinstance(leaf, int)]
    labels = [leaf for leaf in numbers if not isinstance(leaf, Padding)]
    fills = frozenset(leaf for leaf in numbers if isinstance(leaf, Padding) or leaf < 0)
    whole = len(numbers) == len(leaves)
    known = not any(isinstance(leaf, Unknown) for leaf in leaves)
    real = [label for label in labels if label >= 0]
    if known and (hot := _hot(data)):
        return Tensor(kind=hot, dtype=dtype or "long", **facts)
    bounds = {"low": min(real), "high": max(real)} if real and whole else {"high": max(real)} if real else {}
    integers = whole or (all(map(is_integer, leaves)) and len(facts["shape"] or ()) == 1)
    kind, dtype = "indices" if numbers or integers else "", dtype or ("long" if integers else "")
    return Tensor(kind=kind, dtype=dtype, fills=fills, source=Sequence(), **bounds, **facts)


def _hot(data: Value) -> str:
    """Whether rows of zeros and ones hold one or several ones."""
    if not isinstance(data, (list, tuple)) or len(data) < 2 or not all(isinstance(row, (list, tuple)) for row in data):
        return ""
    rows = [row for row in data if all(item in (0, 1) for item in row)]
    if len(rows) != len(data) or not rows[0] or len(rows[0]) < 2:
        return ""
    sums = {sum(row) for row in rows}
    return "one-hot" if sums == {1} else "multi-hot" if max(sums) > 1 else ""


def _leaves(data: Value, depth: int = 0) -> Iterator[Value]:
    if isinstance(data, (list, tuple)) and depth < 5:
        for item in data:
            yield from _leaves(item.value if isinstance(item, Maybe) else item, depth + 1)
    elif isinstance(data, range):
        yield from (data[:1] if len(data) else [])
        yield from (data[-1:] if len(data) > 1 else [])
    else:
        yield data


def _shape_of_data(data: Value) -> Shape | None:
    if isinstance(data, range):
        return (len(data),)
    if not isinstance(data, (list, tuple)):
        return ()
    if any(isinstance(item, Maybe) or (isinstance(item, Unknown) and not is_integer(item)) for item in data):
        return None
    inner = _shape_of_data(data[0]) if data else ()
    size = Unknown() if any(isinstance(item, Unknown) for item in data) or not is_counted(data) else len(data)
    return None if inner is None else (size, *inner)


def _multinomial(call: Call) -> Tensor:
    p = as_tensor(call.get("input", 0))
    size = call.get("num_samples", 1, 1)
    top = minus(p.size(-1), 1)
    rows = p.shape[:-1] if p.shape is not None else None
    shape = None if rows is None else (*rows, size)
    return Tensor(
        kind="indices", made=call.place, shape=shape, dtype="long", graph=False, low=0, high=top, source=Sequence()
    )  # fmt: skip


def _bincount(call: Call) -> Tensor:
    x, least = as_tensor(call.get("input", 0)), call.get("minlength", 2, call.get("minlength", default=0))
    size = plus(x.high, 1) if x.high is not None else Unknown()
    if isinstance(least, int) and isinstance(size, int):
        size = max(size, least)
    elif least != 0:
        size = least if isinstance(least, int) and not isinstance(size, int) else Unknown()
    return Tensor(kind="counts", made=call.place, shape=(size,), dtype="long", graph=False)


def _randperm(call: Call) -> Tensor:
    n = call.get("n", 0, Unknown())
    size = n if isinstance(n, (int, Unknown)) else Unknown()
    return Tensor(kind="indices", shape=(size,), dtype="long", graph=False, low=0, high=minus(size, 1))


def _normal(call: Call) -> Tensor:
    """np.random.normal(mean, deviation, size), and generators like it."""
    size = call.kwargs.get("size", call.args[2] if len(call.args) > 2 else ())
    return Tensor(kind="normal", made=call.place, shape=shape_of([size]), dtype="float", graph=False)


def pad_sequence(call: Call) -> Tensor:
    """Rows of different lengths, filled up."""
    rows, value = call.get("sequences", 0), call.get("padding_value", 2, 0)
    first = as_tensor(next(iter(rows), Unknown()) if isinstance(rows, (list, tuple)) else Unknown())
    tensors = [as_tensor(row) for row in rows] if isinstance(rows, (list, tuple)) else [first]
    lengths = {t.shape[0] if t.shape else Unknown() for t in tensors}
    length = next(iter(lengths)) if len(lengths) == 1 and len(tensors) > 1 else Unknown()
    alike = isinstance(length, int)  # so that nothing is filled up
    unknown = not first.kind and not first.dtype  # which as labels are integers
    integers = unknown or first.kind in ("indices", "range") or first.dtype == "long"
    fills = first.fills if alike else first.fills | _padding(value, integers)
    lows = [t.low for t in tensors if isinstance(t.low, int)]
    highs = [t.high for t in tensors if isinstance(t.high, int)]
    inner = first.shape[1:] if first.shape else ()
    count = len(rows) if isinstance(rows, (list, tuple)) and is_counted(rows) else Unknown()
    sizes = (count, length, *inner) if call.get("batch_first", 1, False) is True else (length, count, *inner)
    return first.to(
        shape=sizes,
        fills=fills,
        likely=first.likely or (unknown and not alike),
        source=Sequence(),
        offset=0,
        total=None,
        low=min(lows) if lows else None,
        high=max(highs) if highs else None,
    )


def _padding(value: Value, integers: bool) -> frozenset[int]:
    """What rows of different lengths are filled up with, if it may be a label."""
    if not isinstance(value, (int, float)):
        return frozenset({SomePadding()} if integers and _is_padding(value) else ())
    if abs(value) >= 1e9:
        return frozenset()
    number = int(value)
    return frozenset({number} if number < 0 else {Padding(number)} if integers else ())


def _is_padding(value: Value) -> bool:
    """Whether something unknown is the index of padding by its name, as vocabulary["<pad>"] and vocabulary.pad are."""
    if not isinstance(value, Unknown) or value.owner is None:
        return False
    keys = [key for key, member in value.owner.members.items() if member is value]
    names = [part.lower() for key in keys for part in (key if isinstance(key, tuple) else (key,)) if type(part) is str]
    return any("pad" in name and "label" not in name and "target" not in name for name in names)


def parameter(call: Call) -> Tensor:
    """nn.Parameter(data)."""
    return as_tensor(call.get("data", 0)).to(graph=True, cut=None, kind="")


def _variable(call: Call) -> Value:
    """Variable(data) of torch before 0.4: the tensor itself."""
    data = call.get("data", 0)
    x = as_tensor(data)
    trained = call.get("requires_grad", 1) is True
    return x.to(graph=True, own=not x.graph and x.cut is None) if trained else data


CREATION: dict[str, Callable[[Call], Value]] = {
    "randn": lambda call: _filled(call, "normal"),
    "standard_normal": lambda call: _filled(call, "normal"),
    "normal": _normal,
    "beta": lambda call: share(shape_of([call.get("size", 2, ())])),
    "rand": _uniform,
    "random": _uniform,
    "random_sample": _uniform,
    "empty": lambda call: _filled(call, ""),
    "zeros": lambda call: _filled(call, "zeros", low=0, high=0),
    "ones": lambda call: _filled(call, "ones", low=1, high=1),
    "randn_like": _like("normal"), "rand_like": _like("uniform"), "empty_like": _like(""),
    "zeros_like": _like("zeros"), "ones_like": _like("ones"),
    "full": _full, "full_like": _full_like, "randint": _randint, "integers": _randint, "arange": _arange, "eye": _eye,
    "tensor": tensor, "array": tensor, "as_tensor": tensor, "asarray": tensor, "LongTensor": _of_dtype("long"),
    **dict.fromkeys(("FloatTensor", "DoubleTensor", "HalfTensor", "Tensor"), _of_dtype("float")),
    **dict.fromkeys(("IntTensor", "ShortTensor", "ByteTensor"), _of_dtype("long")), "BoolTensor": _of_dtype("bool"),
    "Variable": _variable, "multinomial": _multinomial,
    "bincount": _bincount, "randperm": _randperm,
    "permutation": _randperm, "pad_sequence": pad_sequence, "Parameter": parameter,
}  # fmt: skip
"""By the last part of their names; of torch, numpy and its generators."""
