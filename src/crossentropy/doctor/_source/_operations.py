"""Operations of torch on tensors, as functions or methods: the first argument is the tensor."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TypeAlias

from crossentropy.doctor._knowledge import _axes
from crossentropy.doctor._knowledge import _operations as _table
from crossentropy.doctor._knowledge._binding import bound
from crossentropy.doctor._knowledge._facts import TO_NORMALISE, times
from crossentropy.doctor._source import _arithmetic, _by_hand, _einsum, _fills, _reductions, _shapes
from crossentropy.doctor._source._creation import CREATION, dtype_of
from crossentropy.doctor._source._indexing import as_tensor, read
from crossentropy.doctor._source._report import Report
from crossentropy.doctor._source._values import (
    Call,
    External,
    Layer,
    Maybe,
    Number,
    Padding,
    Sequence,
    Tensor,
    Unknown,
    Value,
    is_counted,
)

Operation: TypeAlias = Callable[[Report, Tensor, Call], Value]


def softmax(report: Report, x: Tensor, call: Call) -> Tensor:
    """Probabilities along an axis."""
    return _normalised(x, call, "probabilities")


def log_softmax(report: Report, x: Tensor, call: Call) -> Tensor:
    """Log-probabilities along an axis."""
    return _normalised(x, call, "log-probabilities")


def _normalised(x: Tensor, call: Call, kind: str) -> Tensor:
    dim = call.get("dim")
    if x.caller is not None:
        x.caller.function.members[TO_NORMALISE] = True
    if dim is None and not call.open:
        dim = (0 if x.rank in (1, 3) else 1) if x.rank is not None else None
    normal = dim if type(dim) is int else None
    if normal is not None and x.rank:
        normal = normal if normal < 0 else normal - x.rank
    count = x.size(normal) if normal is not None and (normal < 0 or x.rank) else x.count
    axis = normal if x.rank is not None or normal is None or normal < 0 else None
    result = x.plain(kind=kind, made=call.place, axis=axis, count=count if axis == normal else x.count, normal=normal,
                     dtype="float", mixed=x.mixed, clipped=x.made if x.kind == "relu" else None)  # fmt: skip
    if x.axis is not None and axis is not None and x.axis != axis and x.kind == "logits":
        return result.to(axis=x.axis, count=x.count)
    return result


def sigmoid(report: Report, x: Tensor, call: Call) -> Tensor:
    """Scores between 0 and 1."""
    return x.plain(kind="sigmoid", made=call.place, dtype="float")


def relu(report: Report, x: Tensor, call: Call) -> Tensor:
    """Of scores, scores of one sign."""
    return x.plain(kind="relu" if x.kind == "logits" else "", made=call.place)


def _log(report: Report, x: Tensor, call: Call) -> Tensor:
    if x.kind == "probabilities":
        return x.to(kind="log-probabilities", logs=call.place, made=call.place)
    if x.kind == "mixture":
        return x.to(kind="log-probabilities", made=call.place, normal=None)
    if x.kind == "column" and x.made is not None and x.graph:
        return x.plain(logs=call.place)
    if x.kind == "loss":
        return x.to(kind=_arithmetic.LOG_OF_LOSS)
    if x.total is not None and x.total.kind == "exp":
        return x.to(kind="logsumexp")
    return x.plain()


def _exp(report: Report, x: Tensor, call: Call) -> Tensor:
    if x.kind == "log-probabilities":
        return x.to(kind="probabilities", logs=None)
    if x.kind == "negative" and x.parts:
        return x.to(kind="focal", made=call.place)
    return x.plain(kind="exp")


def _clamp(report: Report, x: Tensor, call: Call) -> Tensor:
    if x.kind in ("probabilities", "sigmoid", "mixture", "column", "multi-hot"):
        return x
    low, high = call.get("min"), call.get("max")
    if x.kind == "logits" and low == 0:
        return x.plain(kind="relu", made=call.place)
    if x.kind == "indices":
        fills = frozenset(f for f in x.fills if f >= low) if isinstance(low, int) else x.fills
        bound = [b for b in (x.high, high) if isinstance(b, int)]
        floor = low if isinstance(low, int) and isinstance(x.low, int) and x.low < low else x.low
        return x.to(low=floor, high=min(bound) if bound else x.high, fills=fills)
    if x.kind == "logits" and (low is None or (isinstance(low, (int, float)) and low < 0)):
        return x
    return x.plain()


def _threshold(report: Report, x: Tensor, call: Call) -> Tensor:
    """A relu where what is not above 0, or above more, becomes 0."""
    least, value = call.get("threshold"), call.get("value")
    cuts = isinstance(least, (int, float)) and least >= 0 and value == 0
    return relu(report, x, call) if cuts else x.plain()


def _hardtanh(report: Report, x: Tensor, call: Call) -> Tensor:
    return relu(report, x, call) if call.get("min_val", default=-1.0) == 0 else x.plain()


def _pow(report: Report, x: Tensor, call: Call) -> Value:
    return _arithmetic.combine(report, ast.Pow, x, call.get("exponent"), call.place)


def _binary(op: type[ast.operator], swapped: bool = False) -> Operation:
    def run(report: Report, x: Tensor, call: Call) -> Value:
        other = call.get("other")
        left, right = (other, x) if swapped else (x, other)
        return _arithmetic.combine(report, op, left, right, call.place)

    return run


def _compare(op: type[ast.cmpop]) -> Operation:
    return lambda report, x, call: _arithmetic.compare(op, x, call.get("other"))


def _same(report: Report, x: Tensor, call: Call) -> Tensor:
    return x


def _elementwise(report: Report, x: Tensor, call: Call) -> Tensor:
    return x.plain(samples=x.samples)


def _maximum(report: Report, x: Tensor, call: Call) -> Tensor:
    other = as_tensor(call.get("other"))
    return x.to(kind="multi-hot") if _arithmetic.united(x, other) else x.plain(samples=x.samples)


def _bernoulli(report: Report, x: Tensor, call: Call) -> Tensor:
    several = (x.rank or 0) > 1 and x.size(-1) != 1
    return x.plain(kind="bits" if several else "binary", made=call.place, graph=False)


def _tanh(report: Report, x: Tensor, call: Call) -> Tensor:
    return x.plain(kind="tanh" if x.kind == "logits" else "", made=call.place)


def cast(dtype: str) -> Operation:
    """x.long() and the like."""

    def run(report: Report, x: Tensor, call: Call) -> Tensor:
        return to_dtype(x, dtype)

    return run


def to_dtype(x: Tensor, dtype: str) -> Tensor:
    """A tensor in another dtype."""
    if dtype == "float" or not dtype:
        return x.to(dtype=dtype or x.dtype)
    cut = {"graph": False, "cut": x.cut} if x.graph is not True else {"graph": False, "cut": x.made or x.cut}
    if x.kind in (
        "indices",
        "one-hot",
        "multi-hot",
        "range",
        "binary",
        "bits",
        "zeros",
        "ones",
        "identity",
        "counts",
        "votes",
    ):
        return x.to(dtype=dtype, **cut)
    return x.plain(kind="indices" if dtype == "long" else "binary", dtype=dtype, axis=None, count=None, **cut)


def _to(report: Report, x: Tensor, call: Call) -> Tensor:
    for name, value in call.kwargs.items():
        if name == "input":
            continue
        if dtype := value.dtype if isinstance(value, Tensor) else dtype_of(value):
            return to_dtype(x, dtype)
        if isinstance(value, Layer) and value.kind == "parameters":
            return to_dtype(x, "float")
        if name == "dtype" and isinstance(value, Unknown):
            return x.to(dtype="")
    return x


def _typed(report: Report, x: Tensor, call: Call) -> Tensor:
    """A tensor of a dtype that may not be known."""
    given = [value for name, value in call.kwargs.items() if name != "input"]
    told = any(value.dtype if isinstance(value, Tensor) else dtype_of(value) for value in given)
    return _to(report, x, call) if told or not given else x.to(dtype="")


def detach(report: Report, x: Tensor, call: Call) -> Tensor:
    """The same numbers without a graph."""
    return x.to(graph=False, cut=call.place if (x.graph and not x.own) or x.parts else x.cut)


def _leaf(report: Report, x: Tensor, call: Call) -> Tensor:
    on = call.get("mode", default=call.get("requires_grad", default=True))
    if x.parts and x.cut is not None:
        return x  # a loss does not get its graph back
    cut = None if x.kind in ("normal", "uniform", "zeros", "ones", "constant") else x.cut  # no model has made these
    return x.to(graph=True, own=not x.graph and cut is None, cut=cut) if on is True else x.to(graph=False)


def _item(report: Report, x: Tensor, call: Call) -> Value:
    if x.share is not None:
        return x.to(shape=())
    return Number(x.to(graph=False, cut=call.place), call.place) if x.parts else read(x)


def _listed(report: Report, x: Tensor, call: Call) -> Value:
    size = x.size(0) if x.rank == 1 else None
    return [read(x) for _ in range(size)] if isinstance(size, int) and size <= 64 else Unknown()


def _gather(name: str) -> Operation:
    """Numbers that are chosen along an axis, which is that of the classes where nothing else is known."""

    def run(report: Report, x: Tensor, call: Call) -> Tensor:
        index = as_tensor(call.get("index", default=call.get("indices")))
        if call.get("dim") in (1, -1) and (index.rank is None or index.size(-1) == 1):
            _by_hand.picked(report, x, index, call.place)
        kind = "column" if x.kind == "probabilities" else "" if x.kind != "logits" else "logits"
        new = _shapes.moved(x, name, call.kwargs)
        axis = new.axis if new.rank is not None and new.rank == index.rank else None
        return x.plain(kind=kind, made=x.made, shape=index.shape, axis=axis, count=x.count if axis else None)

    return run


def _diagonal(name: str) -> Operation:
    """Of each row one number; of a vector, the matrix that has it as its diagonal."""

    def run(report: Report, x: Tensor, call: Call) -> Tensor:
        new = _shapes.moved(x, name, call.kwargs)
        if x.kind == "logits":
            return new.to(source=None)
        vector = name == "diag" and x.rank in (1, None)
        kind = "column" if x.kind == "probabilities" and not vector else ""
        return new.plain(kind=kind, made=x.made, axis=None, count=None, source=None)

    return run


def _embedding(report: Report, x: Tensor, call: Call) -> Tensor:
    return embedded(x, as_tensor(call.get("weight")).size(-1), call.get("padding_idx"))


def embedded(x: Tensor, width: Value, padding: Value) -> Tensor:
    """Rows of an embedding for tokens."""
    if isinstance(padding, int) and x.source is not None:
        x.source.padding = Padding(padding)
    shape = None if x.shape is None else (*x.shape, width)
    source = None if x.rank in (0, 1) else x.source  # one number for each row is no sequence
    return Tensor(shape=shape, dtype="float", graph=True, source=source, offset=x.offset)


def _split(report: Report, x: Tensor, call: Call) -> Value:
    size = call.get("split_size", default=call.get("split_size_or_sections"))
    return _parts(x, call, lambda whole: _axes.split_sizes(whole, size))


def _chunk(report: Report, x: Tensor, call: Call) -> Value:
    return _parts(x, call, lambda whole: _axes.chunk_sizes(whole, call.get("chunks", default=call.get("sections"))))


def _along(split: Operation, axis: Callable[[int | None], int]) -> Operation:
    """A tensor that is cut along an axis that hangs on how many there are."""
    return lambda report, x, call: split(report, x, Call([x], {**call.kwargs, "dim": axis(x.rank)}, call.place))


def _parts(x: Tensor, call: Call, sizes: Callable[[Value], list[Value] | None]) -> Value:
    """A tensor that is cut along an axis; in two parts, where it is not known in how many."""
    axis = call.get("dim", default=0)
    whole = x.shape[axis] if x.shape and type(axis) is int and -len(x.shape) <= axis < len(x.shape) else None
    lengths = sizes(whole)
    return [_with_size(x, axis, length) for length in (lengths if lengths and len(lengths) <= 64 else [None, None])]


def _with_size(x: Tensor, axis: Value, size: Value) -> Tensor:
    x = x.to(total=None, source=Sequence(), samples=x.samples or axis == 0)
    if x.shape is None or type(axis) is not int or not x.shape or axis >= len(x.shape):
        return x
    at = axis % len(x.shape)
    length = size if isinstance(size, (int, Unknown)) else Unknown()
    return x.to(shape=(*x.shape[:at], length, *x.shape[at + 1 :]))


def _unbind(report: Report, x: Tensor, call: Call) -> Value:
    axis = call.get("dim", default=0)
    size = x.shape[axis] if x.shape and type(axis) is int and -len(x.shape) <= axis < len(x.shape) else None
    if not isinstance(size, int) or size > 64:
        return Unknown()
    return [_selected(x, axis) for _ in range(size)]


def _selected(x: Tensor, axis: Value) -> Tensor:
    """One element along an axis."""
    return _shapes.moved(x, "select", {"dim": axis}).to(source=Sequence())


def _flip(report: Report, x: Tensor, call: Call) -> Tensor:
    kind = "indices" if x.kind == "range" else x.kind
    return x.to(kind=kind, source=Sequence(), total=None, diagonal=False)


def _normalize(report: Report, x: Tensor, call: Call) -> Tensor:
    return x.plain(kind="soft") if call.get("p") in (1, 1.0) else x.plain()


def _size(report: Report, x: Tensor, call: Call) -> Value:
    axis = call.get("dim")
    if axis is None:
        return shape_value(x)
    return x.size(axis if axis < 0 or x.rank is None else axis - x.rank) if type(axis) is int else Unknown()


def shape_value(x: Tensor) -> Value:
    """x.shape."""
    return x.shape if x.shape is not None else Unknown()


def _padded(report: Report, x: Tensor, call: Call) -> Tensor:
    value = call.get("value", default=0)
    shape = None if x.shape is None else tuple(Unknown() for _ in x.shape)
    if x.kind == "indices" and isinstance(value, int):
        marks = isinstance(value, Padding) or value < 0
        return x.to(shape=shape, fills=x.fills | {value} if marks else x.fills, total=None)
    return x.to(shape=shape, total=None)


def _matmul(report: Report, x: Tensor, call: Call) -> Tensor:
    return _arithmetic.product(x, as_tensor(call.get("other")), call.place)


def _linear(report: Report, x: Tensor, call: Call) -> Tensor:
    weight = as_tensor(call.get("weight"))
    return scores(x, weight.shape[0] if weight.shape else Unknown(), call, -1)


def scores(x: Tensor, count: Value, call: Call, axis: int, shape: tuple[Value, ...] | None = None) -> Tensor:
    """What a layer with weights makes: numbers of any size, one for each class."""
    size = count if isinstance(count, (int, Unknown)) else Unknown()
    if shape is None and x.shape:
        shape = (*x.shape[:-1], size)
    return Tensor(kind="logits", made=call.place, shape=shape, dtype="float", axis=axis, count=size, graph=True,
                  source=x.source, offset=x.offset, likely=x.likely)  # fmt: skip


def _with_places(report: Report, x: Tensor, call: Call) -> Value:
    """A median or mode; along an axis, also where it is."""
    value = _reductions.reduce(report, x, call)
    return value if call.get("dim") is None else (value, Tensor(kind="indices", dtype="long", graph=False))


def _numel(report: Report, x: Tensor, call: Call) -> Value:
    return times(x.shape) if x.shape is not None else Unknown()


def _is_floating(report: Report, x: Tensor, call: Call) -> Value:
    return x.dtype == "float" if x.dtype else Unknown()


def _moved(name: str) -> Operation:
    return lambda report, x, call: _shapes.moved(x, name, call.kwargs, call.place)


def _like(name: str) -> Operation:
    """x.view_as(other) and the like, which take a shape from another tensor."""

    def run(report: Report, x: Tensor, call: Call) -> Tensor:
        shape = as_tensor(call.get("other")).shape
        return _shapes.lost(x) if shape is None else _shapes.moved(x, name, {"size": shape}, call.place)

    return run


def _without_sequence(name: str) -> Operation:
    def run(report: Report, x: Tensor, call: Call) -> Tensor:
        kind = "indices" if x.kind == "range" else x.kind
        source = None if x.source is None else Sequence()
        return _shapes.moved(x, name, call.kwargs, call.place).to(kind=kind, source=source, diagonal=False)

    return run


def _view(report: Report, x: Tensor, call: Call) -> Tensor:
    names = ("size", "shape", "sizes", "dtype")
    size = next((call.kwargs[name] for name in names if name in call.kwargs), Unknown() if call.open else ())
    sizes = size if isinstance(size, (list, tuple)) else (size,)
    if len(sizes) == 1 and isinstance(sizes[0], External):
        return to_dtype(x, dtype_of(sizes[0]))
    if len(sizes) == 1 and isinstance(sizes[0], Unknown) and call.open:
        return _shapes.lost(x)
    return _shapes.moved(x, "view", {"size": sizes}, call.place)


_DOING: dict[str, Operation] = {
    "keeps": _same, "copies": _same, "maps": _elementwise, "normalises": _elementwise, "relu": relu,
    "sigmoid": sigmoid, "cuts": detach, "leaf": _leaf, "reduces": _reductions.reduce, "sorts": _reductions.largest,
    "counts": _reductions.buckets, "embeds": _embedding,
}  # fmt: skip
"""What operations of one kind do."""
_NAMED: dict[str, Operation] = {
    "softmax": softmax, "log_softmax": log_softmax, "tanh": _tanh, "bernoulli": _bernoulli, "maximum": _maximum,
     "normalize": _normalize,
    "threshold": _threshold, "hardtanh": _hardtanh, "clamp": _clamp, "log": _log, "exp": _exp,
    "logsumexp": _reductions.logsumexp,
    "pow": _pow, "add": _binary(ast.Add), "sub": _binary(ast.Sub), "mul": _binary(ast.Mult), "div": _binary(ast.Div),
    "rsub": _binary(ast.Sub, swapped=True), "__rtruediv__": _binary(ast.Div, swapped=True),
    "fmod": _binary(ast.Mod), "remainder": _binary(ast.Mod),
    "reciprocal": lambda r, x, c: _arithmetic.inverse(x, c.place), "neg": lambda r, x, c: _arithmetic.negate(x),
    "eq": _compare(ast.Eq), "ne": _compare(ast.NotEq), "gt": _compare(ast.Gt), "ge": _compare(ast.GtE),
    "lt": _compare(ast.Lt), "le": _compare(ast.LtE),
    **dict.fromkeys(("float", "double", "half", "bfloat16"), cast("float")), "bool": cast("bool"),
    **dict.fromkeys(("long", "int", "short", "byte"), cast("long")),
    "to": _to, **dict.fromkeys(("type", "type_as", "astype"), _typed),
    "item": _item, "tolist": _listed,
    "argmax": _reductions.argmax, "max": _reductions.extreme, "min": _reductions.extreme, "mean": _reductions.mean,
    "amax": _reductions.amax,
    "sum": _reductions.total, "median": _with_places, "mode": _with_places,
    "all": _reductions.truths, "any": _reductions.truths,
    "masked_fill": _fills.masked_fill, "where": _fills.where, "one_hot": _fills.one_hot, "scatter": _fills.scatter,
    "fill_diagonal": _fills.fill_diagonal,
    **{name: _diagonal(name) for name in ("diagonal", "diag")}, "einsum": _einsum.contracted,
    "pad": _padded, "gather": _gather("gather"), "take_along_dim": _gather("take_along_dim"),
    "split": _split, "chunk": _chunk, "tensor_split": _chunk, "unbind": _unbind,
    "vsplit": _along(_chunk, lambda rank: 0), "hsplit": _along(_chunk, lambda rank: 0 if rank == 1 else 1),
    "narrow": lambda r, x, c: _with_size(x, c.get("dim"), c.get("length")),
    "select": lambda r, x, c: _selected(x, c.get("dim")),
    **dict.fromkeys(("flip", "fliplr", "flipud", "roll"), _flip),
    "size": _size, "numel": _numel, "dim": lambda r, x, c: x.rank if x.rank is not None else Unknown(),
    "is_floating_point": _is_floating, "matmul": _matmul, "linear": _linear,
    "view": _view, "reshape": _view, "resize": _view,
    "rearrange": lambda r, x, c: _shapes.rearrange(x, c.get("pattern"), c.place),
    **{name: _moved(name) for name in ("flatten", "ravel", "unflatten", "permute", "transpose", "t", "T", "H", "mT")},
    **{name: _moved(name) for name in ("movedim", "squeeze", "unsqueeze", "as_strided", "expand", "repeat", "tile")},
    "take": _moved("take"),
    **{name: _like(name) for name in ("view_as", "reshape_as", "expand_as")},
    **{name: _without_sequence(name) for name in ("repeat_interleave", "index_select")},
    "masked_select": lambda r, x, c: _without_sequence("masked_select")(r, x, c).to(fills=frozenset()),
}  # fmt: skip
"""What one of them does."""
OPERATIONS: dict[str, Operation] = {
    row.name: run
    for row in _table.OPERATIONS.values()
    if (run := _NAMED.get(row.name) or _DOING.get(row.does)) is not None
}
"""By the first names of the table."""


def is_known(name: str) -> bool:
    """Whether a function or method is one of torch's that is followed."""
    return name in CREATION or _table.canonical(name) in OPERATIONS or _table.canonical(name) in _JOINS


_JOINS = _table.doing("joins")


def operate(report: Report, name: str, call: Call) -> Value:
    """The value of a function or method of torch by its name; what is not known gives a tensor of unknown numbers."""
    if name in CREATION:
        return CREATION[name](call)
    known = _table.canonical(name)
    given = bound(name, call.args, call.kwargs)
    if known in _JOINS:
        values = given.get("tensors", Unknown())
        rows = list(values) if isinstance(values, (list, tuple)) else [values]
        plain = [row.value if isinstance(row, Maybe) else row for row in rows]
        counted = not isinstance(values, (list, tuple)) or is_counted(values)
        return _shapes.joined(known, plain, given, counted)
    operation = OPERATIONS.get(known)
    if operation is None:
        tensors = [value for value in (*call.args, *call.kwargs.values()) if isinstance(value, Tensor)]
        return Tensor(graph=True if any(t.graph for t in tensors) else None) if tensors else Unknown()
    first = call.args[0] if call.args else given.get("condition", given.get("input", given.get("tensor")))
    x = CREATION["tensor"](Call([first], {}, call.place)) if isinstance(first, (list, tuple)) else as_tensor(first)
    return operation(report, x, Call([first], given, call.place, call.open))
