"""Operations of torch on tensors, as functions or methods: the first argument is the tensor."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TypeAlias

from crossentropy.doctor._source import _arithmetic, _fills, _reductions, _shapes, _targets
from crossentropy.doctor._source._creation import CREATION, dtype_of
from crossentropy.doctor._source._indexing import as_tensor, times
from crossentropy.doctor._source._report import Report
from crossentropy.doctor._source._values import Call, External, Maybe, Number, Padding, Sequence, Tensor, Unknown, Value

Operation: TypeAlias = Callable[[Report, Tensor, Call], Value]


def softmax(report: Report, x: Tensor, call: Call) -> Tensor:
    """Probabilities along an axis."""
    return _normalised(x, call, "probabilities")


def log_softmax(report: Report, x: Tensor, call: Call) -> Tensor:
    """Log-probabilities along an axis."""
    return _normalised(x, call, "log-probabilities")


def _normalised(x: Tensor, call: Call, kind: str) -> Tensor:
    dim = call.get("dim", 1, call.get("axis", default=None))
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
    if x.kind in ("probabilities", "sigmoid", "mixture", "column"):
        return x
    low, high = call.get("min", 1), call.get("max", 2)
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
    least, value = call.get("threshold", 1), call.get("value", 2)
    cuts = isinstance(least, (int, float)) and least >= 0 and value == 0
    return relu(report, x, call) if cuts else x.plain()


def _hardtanh(report: Report, x: Tensor, call: Call) -> Tensor:
    return relu(report, x, call) if call.get("min_val", 1, -1.0) == 0 else x.plain()


def _pow(report: Report, x: Tensor, call: Call) -> Value:
    return _arithmetic.combine(report, ast.Pow, x, call.get("exponent", 1), call.place)


def _binary(op: type[ast.operator], swapped: bool = False) -> Operation:
    def run(report: Report, x: Tensor, call: Call) -> Value:
        other = call.get("other", 1)
        left, right = (other, x) if swapped else (x, other)
        return _arithmetic.combine(report, op, left, right, call.place)

    return run


def _compare(op: type[ast.cmpop]) -> Operation:
    return lambda report, x, call: _arithmetic.compare(op, x, call.get("other", 1))


def _same(report: Report, x: Tensor, call: Call) -> Tensor:
    return x


def _elementwise(report: Report, x: Tensor, call: Call) -> Tensor:
    return x.plain()


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
    if x.kind in ("indices", "one-hot", "multi-hot", "range", "binary", "bits", "zeros", "ones", "identity", "counts"):
        return x.to(dtype=dtype, **cut)
    return x.plain(kind="indices" if dtype == "long" else "binary", dtype=dtype, axis=None, count=None, **cut)


def _to(report: Report, x: Tensor, call: Call) -> Tensor:
    for value in (*call.args[1:], call.kwargs.get("dtype")):
        if dtype := dtype_of(value):
            return to_dtype(x, dtype)
        if isinstance(value, Tensor) and value.dtype:
            return to_dtype(x, value.dtype)
    return x


def detach(report: Report, x: Tensor, call: Call) -> Tensor:
    """The same numbers without a graph."""
    return x.to(graph=False, cut=call.place if (x.graph and not x.own) or x.parts else x.cut)


def _leaf(report: Report, x: Tensor, call: Call) -> Tensor:
    on = call.get("requires_grad", 1, True)
    if x.parts and x.cut is not None:
        return x  # a loss does not get its graph back
    return x.to(graph=True, own=not x.graph and x.cut is None) if on is True else x.to(graph=False)


def _item(report: Report, x: Tensor, call: Call) -> Value:
    return Number(x.to(graph=False, cut=call.place), call.place) if x.parts else Unknown()


def _gather(report: Report, x: Tensor, call: Call) -> Tensor:
    index = as_tensor(call.get("index", 2))
    if call.get("dim", 1) in (1, -1) and (index.rank is None or index.size(-1) == 1):
        _targets.picked(report, x, index, call.place)
    kind = "column" if x.kind == "probabilities" else "" if x.kind != "logits" else "logits"
    return x.plain(kind=kind, made=x.made, shape=index.shape, axis=None, count=None)


def _embedding(report: Report, x: Tensor, call: Call) -> Tensor:
    return embedded(x, as_tensor(call.get("weight", 1)).size(-1), call.kwargs.get("padding_idx"))


def embedded(x: Tensor, width: Value, padding: Value) -> Tensor:
    """Rows of an embedding for tokens."""
    if isinstance(padding, int) and x.source is not None:
        x.source.padding = Padding(padding)
    shape = None if x.shape is None else (*x.shape, width)
    source = None if x.rank in (0, 1) else x.source  # one number for each row is no sequence
    return Tensor(shape=shape, dtype="float", graph=True, source=source, offset=x.offset)


def _split(report: Report, x: Tensor, call: Call) -> Value:
    size, axis = call.get("split_size", 1, call.get("split_size_or_sections", default=None)), call.get("dim", 2, 0)
    whole = x.shape[axis] if x.shape and type(axis) is int and -len(x.shape) <= axis < len(x.shape) else None
    sizes: list[Value] = [Unknown(), Unknown()]
    if isinstance(size, (list, tuple)):
        sizes = list(size)
    elif type(size) is int and size > 0 and isinstance(whole, int) and whole // size < 64:
        sizes = [min(size, whole - at) for at in range(0, whole, size)]
    return [_with_size(x, axis, length) for length in sizes]


def _chunk(report: Report, x: Tensor, call: Call) -> Value:
    count, axis = call.get("chunks", 1), call.get("dim", 2, 0)
    whole = x.shape[axis] if x.shape and type(axis) is int and -len(x.shape) <= axis < len(x.shape) else None
    if type(count) is not int or not 0 < count < 64:
        return [_with_size(x, axis, Unknown()) for _ in range(2)]
    if not isinstance(whole, int):
        return [_with_size(x, axis, Unknown()) for _ in range(count)]
    size = -(-whole // count)
    return [_with_size(x, axis, min(size, whole - at)) for at in range(0, whole, max(size, 1))]


def _with_size(x: Tensor, axis: Value, size: Value) -> Tensor:
    x = x.to(total=None, source=Sequence(), samples=x.samples or axis == 0)
    if x.shape is None or type(axis) is not int or not x.shape or axis >= len(x.shape):
        return x
    at = axis % len(x.shape)
    length = size if isinstance(size, (int, Unknown)) else Unknown()
    return x.to(shape=(*x.shape[:at], length, *x.shape[at + 1 :]))


def _unbind(report: Report, x: Tensor, call: Call) -> Value:
    axis = call.get("dim", 1, 0)
    size = x.shape[axis] if x.shape and type(axis) is int and -len(x.shape) <= axis < len(x.shape) else None
    if not isinstance(size, int) or size > 64:
        return Unknown()
    return [_selected(x, axis) for _ in range(size)]


def _selected(x: Tensor, axis: Value) -> Tensor:
    """One element along an axis."""
    return _shapes.selected(x, axis).to(source=Sequence())


def _flip(report: Report, x: Tensor, call: Call) -> Tensor:
    return x.to(source=Sequence(), total=None)


def _normalize(report: Report, x: Tensor, call: Call) -> Tensor:
    return x.plain(kind="soft") if call.get("p", 1) in (1, 1.0) else x.plain()


def _size(report: Report, x: Tensor, call: Call) -> Value:
    axis = call.get("dim", 1)
    if axis is None:
        return shape_value(x)
    return x.size(axis if axis < 0 or x.rank is None else axis - x.rank) if type(axis) is int else Unknown()


def shape_value(x: Tensor) -> Value:
    """x.shape."""
    return x.shape if x.shape is not None else Unknown()


def _padded(report: Report, x: Tensor, call: Call) -> Tensor:
    value = call.get("value", 3, 0)
    shape = None if x.shape is None else tuple(Unknown() for _ in x.shape)
    if x.kind == "indices" and isinstance(value, int):
        marks = isinstance(value, Padding) or value < 0
        return x.to(shape=shape, fills=x.fills | {value} if marks else x.fills, total=None)
    return x.to(shape=shape, total=None)


def _shape(function: Callable[[Tensor, Call], Tensor]) -> Operation:
    return lambda report, x, call: function(x, call)


def _matmul(report: Report, x: Tensor, call: Call) -> Tensor:
    return _arithmetic.product(x, as_tensor(call.get("other", 1, call.get("mat2", default=None))), call.place)


def _linear(report: Report, x: Tensor, call: Call) -> Tensor:
    weight = as_tensor(call.get("weight", 1))
    return scores(x, weight.shape[0] if weight.shape else Unknown(), call, -1)


def scores(x: Tensor, count: Value, call: Call, axis: int, shape: tuple[Value, ...] | None = None) -> Tensor:
    """What a layer with weights makes: numbers of any size, one for each class."""
    size = count if isinstance(count, (int, Unknown)) else Unknown()
    if shape is None and x.shape:
        shape = (*x.shape[:-1], size)
    return Tensor(kind="logits", made=call.place, shape=shape, dtype="float", axis=axis, count=size, graph=True,
                  source=x.source, offset=x.offset, likely=x.likely)  # fmt: skip


def _numel(report: Report, x: Tensor, call: Call) -> Value:
    return times(x.shape) if x.shape is not None else Unknown()


_ELEMENTWISE = (
    "gelu", "silu", "elu", "celu", "selu", "leaky_relu", "softplus", "mish", "hardswish", "hardsigmoid",
    "logsigmoid", "abs", "sqrt", "rsqrt", "square", "sin", "cos", "round", "floor", "ceil", "sign", "log1p",
    "expm1", "log2", "log10", "fill_", "bernoulli", "bernoulli_", "erf", "logit", "cumsum",
    "cumprod", "normal_", "uniform_", "xavier_uniform_", "kaiming_normal_", "glu", "layer_norm",
    "batch_norm", "instance_norm", "group_norm", "index_add", "index_add_", "addcmul", "maximum",
    "minimum", "fmod", "remainder", "trunc", "index_fill", "index_copy", "lerp", "scatter_add_", "scatter_add",
)  # fmt: skip
_SAME = (
    "clone", "contiguous", "cpu", "cuda", "numpy", "dropout", "alpha_dropout", "feature_alpha_dropout",
    "nan_to_num", "pin_memory", "requires_grad", "copy", "cast", "identity", "as_strided",
    "share_memory_", "coalesce", "positive", "dropout1d", "dropout2d", "dropout3d", "resolve_conj", "retain_grad",
)  # fmt: skip
_REDUCE = (
    "std", "var", "prod", "norm", "amax", "amin", "median", "mode", "nanmean", "nansum",
    "count_nonzero", "argmin", "quantile",
)  # fmt: skip

OPERATIONS: dict[str, Operation] = {
    **dict.fromkeys(_ELEMENTWISE, _elementwise), **dict.fromkeys(_SAME, _same), **dict.fromkeys(_REDUCE,
    _reductions.reduce),
    "softmax": softmax, "softmin": softmax, "gumbel_softmax": lambda r, x, c: x.plain(),
    "all": _reductions.truths, "any": _reductions.truths,
    "log_softmax": log_softmax, "sigmoid": sigmoid, "expit": sigmoid, "relu": relu, "relu6": relu,
    "threshold": _threshold, "hardtanh": _hardtanh, "_softmax": softmax, "_log_softmax": log_softmax,
    "tanh": _tanh, "log": _log, "exp": _exp, "clamp": _clamp, "clip": _clamp, "clamp_min": _clamp,
    "clamp_max": _elementwise,
    "pow": _pow, "add": _binary(ast.Add), "sub": _binary(ast.Sub), "mul": _binary(ast.Mult), "div": _binary(ast.Div),
    "rsub": _binary(ast.Sub, swapped=True), "multiply": _binary(ast.Mult), "true_divide": _binary(ast.Div),
    "divide": _binary(ast.Div), "subtract": _binary(ast.Sub), "fmod": _binary(ast.Mod), "remainder": _binary(ast.Mod),
    "reciprocal": lambda r, x, c: _arithmetic.inverse(x, c.place),
    "neg": lambda r, x, c: _arithmetic.negate(x), "negative": lambda r, x, c: _arithmetic.negate(x),
    "eq": _compare(ast.Eq), "ne": _compare(ast.NotEq), "gt": _compare(ast.Gt), "ge": _compare(ast.GtE),
    "lt": _compare(ast.Lt), "le": _compare(ast.LtE),
    "float": cast("float"), "double": cast("float"), "half": cast("float"), "bfloat16": cast("float"),
    "long": cast("long"), "int": cast("long"), "short": cast("long"), "bool": cast("bool"), "byte": cast("long"),
    "to": _to, "type": _to, "type_as": _to, "astype": _to, "detach": detach, "detach_": detach, "requires_grad_": _leaf,
    "item": _item, "tolist": lambda r, x, c: Unknown(), "argmax": _reductions.argmax, "max": _reductions.extreme,
    "min": _reductions.extreme,
    "mean": _reductions.mean,
    "sum": _reductions.total, "logsumexp": _reductions.logsumexp, "topk": _reductions.largest,
    "kthvalue": _reductions.largest,
    "sort": _reductions.largest,
    "bucketize": _reductions.buckets, "digitize": _reductions.buckets, "poisson": _elementwise,
    "masked_fill": _fills.masked_fill, "where": _fills.where, "one_hot": _fills.one_hot, "scatter": _fills.scatter,
    "gather": _gather,
    "take_along_dim": _gather, "embedding": _embedding, "split": _split, "chunk": _chunk, "tensor_split": _chunk,

    **dict.fromkeys(("flip", "fliplr", "flipud", "roll"), _flip),
    "normalize": _normalize, "size": _size, "pad": _padded, "matmul": _matmul, "mm": _matmul,
    "bmm": _matmul, "dot": _matmul, "linear": _linear, "numel": _numel, "dim": lambda r, x,
    c: x.rank if x.rank is not None else Unknown(),
    **dict.fromkeys(("view", "reshape", "resize"), _shape(lambda x, c: _view(x, c))),
    "flatten": _shape(lambda x, c: _shapes.flatten(x, c.get("start_dim", 1, 0), c.get("end_dim", 2, -1), c.place)),
    "ravel": _shape(lambda x, c: _shapes.flatten(x, 0, -1, c.place)),
    "unflatten": _shape(lambda x, c: _shapes.unflatten(x, c.get("dim", 1), c.get("sizes", 2), c.place)),
    "permute": _shape(lambda x, c: _shapes.permute(x, _shapes.dims(list(c.args[1:]) or [c.get("dims", default=())]))),
    "transpose": _shape(lambda x, c: _shapes.transpose(x, c.get("dim0", 1), c.get("dim1", 2))),
    "swapaxes": _shape(lambda x, c: _shapes.transpose(x, c.get("axis0", 1), c.get("axis1", 2))),
    "swapdims": _shape(lambda x, c: _shapes.transpose(x, c.get("dim0", 1), c.get("dim1", 2))),
    **dict.fromkeys(("movedim", "moveaxis"),
    _shape(lambda x, c: _shapes.movedim(x, c.get("source", 1), c.get("destination", 2)))),
    "t": _shape(lambda x, c: _shapes.transpose(x, 0, 1)), "adjoint": _shape(lambda x, c: _shapes.transpose(x, -1, -2)),
    "squeeze": _shape(lambda x, c: _shapes.squeeze(x, c.get("dim", 1))),
    "unsqueeze": _shape(lambda x, c: _shapes.unsqueeze(x, c.get("dim", 1))),
    "expand_dims": _shape(lambda x, c: _shapes.unsqueeze(x, c.get("axis", 1))),
    "rearrange": _shape(lambda x, c: _shapes.rearrange(x, c.get("pattern", 1), c.place)),
    **dict.fromkeys(("expand", "repeat", "tile", "broadcast_to"), _shape(lambda x, c: x.to(shape=None, total=None))),
    "repeat_interleave": _shape(lambda x, c: x.to(shape=None, total=None, source=None)),
    "index_select": _shape(lambda x, c: x.to(shape=None, total=None, source=None)),
    "masked_select": _shape(lambda x, c: x.to(shape=(Unknown(),), fills=frozenset(), source=None, total=None,
    axis=None)),
    "view_as": _shape(lambda x, c: x.to(shape=as_tensor(c.get("other", 1)).shape, total=None)),
    "expand_as": _shape(lambda x, c: x.to(shape=as_tensor(c.get("other", 1)).shape, total=None)),
    "reshape_as": _shape(lambda x, c: x.to(shape=as_tensor(c.get("other", 1)).shape, total=None)),
    "narrow": lambda r, x, c: _with_size(x, c.get("dim", 1), c.get("length", 3)), "unbind": _unbind,
    "select": lambda r, x, c: _selected(x, c.get("dim", 1)),
}  # fmt: skip
OPERATIONS = {f"{name}_": run for name, run in OPERATIONS.items() if not name.endswith("_")} | OPERATIONS
"""By name; a name that ends in an underscore changes the tensor in place."""


JOINS = ("stack", "cat", "concat", "concatenate", "vstack", "hstack")


def _view(x: Tensor, call: Call) -> Tensor:
    sizes = list(call.args[1:]) or [call.kwargs.get("shape", call.kwargs.get("size", ()))]
    if len(sizes) == 1 and isinstance(sizes[0], External):
        return to_dtype(x, dtype_of(sizes[0]))
    if len(sizes) == 1 and isinstance(sizes[0], Unknown) and not isinstance(sizes[0], int) and call.open:
        return x.to(shape=None, axis=None, normal=None, total=None)
    return _shapes.view(x, _shapes.dims(sizes), call.place)


def operate(report: Report, name: str, call: Call) -> Value:
    """The value of a function or method of torch by its name; what is not known gives a tensor of unknown numbers."""
    if name in JOINS:
        values = call.get("tensors", 0)
        rows = list(values) if isinstance(values, (list, tuple)) else [values]
        plain = [row.value if isinstance(row, Maybe) else row for row in rows]
        return _shapes.stacked(call, plain, name == "stack")
    if name in CREATION:
        return CREATION[name](call)
    operation = OPERATIONS.get(name)
    first = call.get("input", 0, call.get("condition", default=None))
    if operation is None:
        tensors = [value for value in (*call.args, *call.kwargs.values()) if isinstance(value, Tensor)]
        return Tensor(graph=True if any(t.graph for t in tensors) else None) if tensors else Unknown()
    positional = call if call.args else call.before(first)
    x = CREATION["tensor"](Call([first], {}, call.place)) if isinstance(first, (list, tuple)) else as_tensor(first)
    return operation(report, x, positional)
