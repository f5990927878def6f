"""Arithmetic with tensors: what kind of numbers come out."""

from __future__ import annotations

import ast
import math
from typing import TypeGuard

from crossentropy.doctor._knowledge._facts import plus
from crossentropy.doctor._source import _masks, _shares
from crossentropy.doctor._source._indexing import as_tensor
from crossentropy.doctor._source._report import DILUTED, MASKED, Report, together
from crossentropy.doctor._source._values import Dim, Number, Place, Sequence, Shape, Tensor, Unknown, Value

RANKED = "ranked"
"""The kind of the largest numbers of rows."""
SMALLER = "smaller"
"""The kind of a mask of all that is less than these."""
ONE_AND_EXP = "1 + exp"
"""The kind of the denominator of a logistic function."""
REST = "1 - loss"
"""A loss taken for a probability: the kind of one minus it,"""
REST_TO_POWER = "(1 - loss) ** γ"
"""of a power of that,"""
LOG_OF_LOSS = "log loss"
"""and of its logarithm."""
TERMS = "terms"
"""The kind of p · log q, the terms of a cross entropy written by hand; `axis` is that of the classes of p."""
WEIGHTED = "weighted"
"""The kind of rows that sum to 1, weighed by a softmax over another axis, which is `normal`."""
CHOSEN = "chosen"
"""The kind of probabilities times one-hot rows, whose sums are the probabilities of the labels; `normal` as of them."""
NOISE = "noise"
"""The kind of random numbers on a scale that is trained, as in variational autoencoders."""
DIVERGENCE = "divergence"
"""The kind of the terms of a Kullback-Leibler divergence, one for each class."""
OFF_DIAGONAL = "off-diagonal"
"""The kind of ones everywhere but on a diagonal."""
_FREE = ("normal", "logits", "sigmoid", "relu", "tanh")
"""Numbers of a row of which any may be large, whatever the others are."""
_ORDER = (ast.Gt, ast.GtE, ast.Lt, ast.LtE)
_ADDED = ("logits", "", "indices", "constant", "relu", "normal", "tanh", "banned", "zeros", "ones")
"""Kinds of numbers that leave logits what they are when they are added."""
_CLASSES = ("logits", "probabilities", "log-probabilities", "sigmoid", "relu")


def combine(report: Report, op: type[ast.operator], left: Value, right: Value, place: Place) -> Value:
    """A binary operation, one of whose sides is a tensor or a number read from one."""
    if not isinstance(left, Tensor) and not isinstance(right, Tensor):
        return _numbers(report, op, left, right, place)
    if op is ast.MatMult:
        return product(as_tensor(left), as_tensor(right), place)
    a, b = as_tensor(left), as_tensor(right)
    if op is ast.Pow:
        return _power(report, a, b, right, place)
    base = merged(a, b)
    if op in (ast.Mult, ast.Div) and (_is_weighed(a, right) or _is_weighed(b, left)):
        base = base.to(graph=False, likely=True, shape=a.shape if _is_weighed(a, right) else b.shape)
    if a.parts or b.parts:
        return _of_losses(report, op, a, b, left, right, base, place)
    kinds: dict[type[ast.operator], Value] = {
        ast.Add: _add, ast.Sub: _subtract, ast.Mult: _multiply, ast.Div: _divide,
    }  # fmt: skip
    if a.kind in ("indices", "range") and type(right) is int:
        return _integers(op, a, right).to(graph=base.graph, cut=base.cut)
    if b.kind in ("indices", "range") and type(left) is int and op in (ast.Add, ast.Mult):
        return _integers(op, b, left)
    if op is ast.Mod and type(right) is int and right > 0 and a.dtype == "long":
        return base.to(kind="indices", low=0, high=right - 1, source=Sequence(), offset=0)
    if op is ast.BitOr and united(a, b):
        return base.to(kind="multi-hot", made=a.made, axis=a.axis, count=a.count)
    if op in (ast.BitAnd, ast.BitOr, ast.BitXor):
        return base.to(
            kind="bits" if op is ast.BitAnd and _beside_diagonal(a, b) else "binary",
            dtype="bool",
            masks=a.masks or b.masks,
        )
    result = kinds[op](a, b, left, right, base, place) if op in kinds else base
    share = _shares.combined(op, a, b, left, right, (row_sum(a), row_sum(b)))
    if share is None:
        return result.to(sums=_row_sum(op, a, b, left, right))
    total = _shares.constant(share)
    if total is not None:
        return result.to(sums=total)
    return result.to(share=share, weighed=op in (ast.Add, ast.Sub) and not _shares.is_weight(result.to(share=share)))


def _is_weighed(term: Tensor, weight: Value) -> bool:
    """Whether a term of a loss that has lost its graph is weighed by what is not known, and of no model."""
    lost = term.cut is not None and term.graph is False and (term.parts or term.shape == ())
    if not lost or not isinstance(weight, (Unknown, str)):
        return False  # a number changes nothing; text is the default of an option that is read as a number
    caller = as_tensor(weight).caller
    return caller is None or not caller.called


def _row_sum(op: type[ast.operator], a: Tensor, b: Tensor, left: Value, right: Value) -> float | None:
    """What the rows of the result sum to."""
    first, second = row_sum(a), row_sum(b)
    if first is not None and second is not None:
        return first + second if op is ast.Add else first - second if op is ast.Sub else None
    for x, total, number in ((a, first, right), (b, second, left)):
        if total is None or not _is_number(number) or not math.isfinite(number):
            continue
        if op is ast.Mult:
            return total * number
        if op is ast.Div and number and x is a:
            return total / number
        if op is ast.Add and isinstance(x.count, int):
            return total + number * x.count
    return None


def class_axis(x: Tensor) -> int | None:
    """The axis along which numbers sum to 1."""
    return x.axis if x.kind == "one-hot" else x.normal if x.kind in ("probabilities", "soft") else None


def row_sum(x: Tensor) -> float | None:
    """What each row sums to, if that is known."""
    return 1.0 if x.kind in ("one-hot", "probabilities", "soft") else x.sums


def merged(a: Tensor, b: Tensor) -> Tensor:
    """What both sides leave in the result, whatever the operation."""
    graph = True if a.graph or b.graph else False if a.graph is False and b.graph is False else None
    larger = a if (a.rank or 0) >= (b.rank or 0) else b
    samples = any(x.samples and (x.rank or 0) == (larger.rank or 0) for x in (a, b))
    main = a if a.source is not None and a.graph else b
    return Tensor(
        shape=broadcast(a.shape, b.shape),
        dtype="float" if "float" in (a.dtype, b.dtype) else a.dtype if a.dtype == b.dtype else "",
        axis=larger.axis,
        count=_count(larger, b if larger is a else a) if larger.axis is not None else None,
        graph=graph,
        cut=None if graph else a.cut or b.cut,
        source=main.source if main.graph else None,
        offset=main.offset,
        logs=a.logs or b.logs,
        idle=a.idle if a.idle == b.idle else tuple(dict.fromkeys(a.idle + b.idle)),
        mixed=a.mixed or b.mixed,
        likely=a.likely or b.likely,
        parts=together(a.parts, b.parts),
        banned=a.banned | b.banned,
        diagonal=a.diagonal or b.diagonal,
        samples=samples,
    )


def _count(x: Tensor, other: Tensor) -> Dim | None:
    """How many classes there are beside another: one column is repeated for as many as that has."""
    if x.count != 1 or x.axis is None or (other.shape is not None and len(other.shape) < -x.axis):
        return x.count
    return other.size(x.axis)


def broadcast(a: Shape | None, b: Shape | None) -> Shape | None:
    """The shape of both together."""
    if a is None or b is None:
        return a if b == () else b if a == () else None
    long, short = (a, b) if len(a) >= len(b) else (b, a)
    padded = (1,) * (len(long) - len(short)) + short
    return tuple(x if y == 1 or x == y else y if x == 1 or not isinstance(x, int) else x for x, y in zip(long, padded))


def _kept(x: Tensor, base: Tensor, kind: str | None = None) -> Tensor:
    """The kind of one side, in the result."""
    axes = {} if x.rank is not None and x.rank != base.rank else {"axis": x.axis, "normal": x.normal}
    count = base.count if x.count == 1 else x.count
    return base.to(kind=x.kind if kind is None else kind, made=x.made, count=count, **axes)


def _is_number(value: Value) -> TypeGuard[float]:
    return isinstance(value, (int, float))


def _add(a: Tensor, b: Tensor, left: Value, right: Value, base: Tensor, place: Place) -> Tensor:
    for x, y, other in ((a, b, right), (b, a, left)):
        if _is_number(other) and abs(other) < 1e-2 and x.kind:
            return _kept(x, base)
        if y.kind == NOISE:
            return _kept(x, base).to(source=Sequence())
        if x.kind == "logits" and y.kind in _ADDED:
            return _kept(x, base)
        if x.kind == "exp" and other in (1, 1.0):
            return base.to(kind=ONE_AND_EXP)
        if x.kind == "normal" and y.kind in ("", "normal", "indices", "constant"):
            return base.to(kind="normal")
        if x.kind in ("probabilities", "mixture", "scaled") and y.kind in ("probabilities", "mixture", "scaled"):
            return _kept(x, base, "mixture")
    return base


def _subtract(a: Tensor, b: Tensor, left: Value, right: Value, base: Tensor, place: Place) -> Tensor:
    if b.total is not None and b.total is a and b.kind == "logsumexp":
        return base.to(kind="log-probabilities", made=place, axis=a.axis, count=a.count, normal=b.normal)
    if left in (1, 1.0) and b.kind in ("sigmoid", "column", "binary", "uniform", "focal"):
        return _kept(b, base)
    if left in (1, 1.0) and b.kind == "identity":
        return base.to(kind=OFF_DIAGONAL)
    if a.kind == "bits" and b.kind == "identity":
        return _kept(a, base)
    if a.kind == "logits" and b.kind in ("", "logits", "constant", "indices", "normal"):
        return _kept(a, base)
    if _is_number(right) and abs(right) < 1e-2:
        return _kept(a, base)
    return base


def united(a: Tensor, b: Tensor) -> bool:
    """Whether the ones of both make rows with several."""
    return a is not b and all(x.kind in ("one-hot", "multi-hot") for x in (a, b)) and a.axis == b.axis


def _beside_diagonal(a: Tensor, b: Tensor) -> bool:
    """Whether of bits only those of a diagonal are taken away."""
    return {a.kind, b.kind} == {"bits", OFF_DIAGONAL}


def _multiply(a: Tensor, b: Tensor, left: Value, right: Value, base: Tensor, place: Place) -> Tensor:
    if _beside_diagonal(a, b):
        return base.to(kind="bits", made=a.made or b.made)
    for x, y, other in ((a, b, right), (b, a, left)):
        scalar = _is_number(other) or isinstance(other, Unknown) or y.shape == ()
        if x.kind in ("logits", "normal", "tanh") and (scalar or y.kind in ("logits", "normal")):
            return _kept(x, base, "logits" if x.graph else x.kind)
        gate = scalar or (y.kind == "sigmoid" and y.size(-1) == 1)
        if x.kind in ("probabilities", "mixture") and gate:
            return _kept(x, base, "scaled")
        entropy = x.logs is not None and y.kind == "probabilities"
        if x.kind == "log-probabilities" and not entropy and (class_axis(y) is not None or not y.kind):
            return base.to(kind=TERMS, made=x.made, axis=class_axis(y), normal=x.normal)
        if x.kind == "probabilities" and _marks_labels(y, x.normal):
            return base.to(kind=CHOSEN, made=x.made, axis=x.axis, normal=x.normal)
        apart = not x.graph or y.size(-1) == 1
        if class_axis(x) == -1 and y.kind == "probabilities" and y.normal not in (None, -1) and apart:
            return base.to(kind=WEIGHTED, made=y.made, axis=-1, normal=y.normal, count=x.count)
        if x.kind == "normal" and x.graph is False and y.graph:
            return base.to(kind=NOISE, source=Sequence())
        if x.kind == "uniform" and _is_number(other):
            return base.to(kind="uniform" if abs(other) <= 1 else "scores")
    return base


def _marks_labels(y: Tensor, axis: int | None) -> bool:
    """Whether numbers are 1 at one place along an axis, and 0 elsewhere."""
    return axis is not None and (y.kind == "identity" or (y.kind == "one-hot" and y.axis == axis))


def _divide(a: Tensor, b: Tensor, left: Value, right: Value, base: Tensor, place: Place) -> Tensor:
    if b.total is not None and b.total is a:
        kind = "probabilities" if a.kind == "exp" else "soft"
        return base.to(kind=kind, made=place, axis=a.axis, count=a.count, normal=b.normal)
    if b.kind == ONE_AND_EXP and left in (1, 1.0):
        return inverse(b, place)
    if a.kind in ("logits", "normal") and (_is_number(right) or b.kind in ("", "exp", "normal", "constant")):
        return _kept(a, base)
    if a.kind in ("mixture", "scaled") and (_is_number(right) or isinstance(right, Unknown)):
        return _kept(a, base)
    return base


def _integers(op: type[ast.operator], x: Tensor, number: int) -> Tensor:
    low, high = x.low, x.high
    if op in (ast.Add, ast.Sub):
        shift = number if op is ast.Add else -number
        moved = frozenset(fill + shift for fill in x.fills)
        position = {"offset": plus(x.offset, shift)} if x.rank == 0 else {"source": Sequence()}
        return x.to(low=_shifted(low, shift), high=_shifted(high, shift), fills=moved, **position)
    if op is ast.Mod and number > 0:
        high = number - 1 if not isinstance(high, int) or high >= number - 1 else high
        return x.to(kind="indices", low=0, high=high, fills=frozenset(), source=Sequence())
    if isinstance(low, int) and isinstance(high, int) and number > 0 and op in (ast.FloorDiv, ast.Mult):
        bounds = (low // number, high // number) if op is ast.FloorDiv else (low * number, high * number)
        return x.to(low=bounds[0], high=bounds[1], source=Sequence())
    return x.plain(
        kind="" if op is ast.Div else "indices", dtype="float" if op is ast.Div else x.dtype, source=Sequence()
    )


def _shifted(bound: Dim | None, shift: int) -> Dim | None:
    return None if bound is None else plus(bound, shift)


def _of_losses(
    report: Report, op: type[ast.operator], a: Tensor, b: Tensor, left: Value, right: Value, base: Tensor, place: Place
) -> Tensor:
    """Arithmetic with losses: sums of them, and the factors of focal losses."""
    if a.kind == "focal" or b.kind == "focal":
        focal = a if a.kind == "focal" else b
        return base.to(kind="focal" if op is ast.Sub else "loss", made=focal.made, reduction=focal.reduction)
    if op is ast.Sub and b.kind == "negative":
        return base
    main = a if a.parts else b
    reduction = main.reduction
    if op is ast.Sub and left in (1, 1.0):
        return base.to(kind=REST, made=b.made, reduction=reduction)
    if op is ast.Mult and {a.kind, b.kind} == {REST_TO_POWER, LOG_OF_LOSS}:
        report.focal(a, place)
    if op in (ast.Mult, ast.Div) and main.kind in (DIVERGENCE, REST_TO_POWER) and not (a.parts and b.parts):
        return _kept(main, base).to(reduction=reduction)
    if op is ast.Add:
        report.joined(base, place)
        return base.to(kind="loss", reduction=reduction, idle=base.idle + _idle(a, b) + _idle(b, a))
    if op is ast.Div:
        report.divided(a, place)
        if a.reduction == DILUTED and not _is_number(right):
            report.undiluted(a)
        reduction = "none" if reduction == MASKED and not _is_number(right) else reduction
        reduction = "averaged" if reduction == "mean" and b.shape in ((), None) and not b.parts else reduction
    if op is ast.Mult and (left == -1 or right == -1):
        return base.to(kind="negative", reduction=reduction)
    factor = right if main is a else left
    if op is ast.Mult and main.count is not None and factor == main.count and not isinstance(factor, float):
        report.multiplied(main)  # a temperature is a float, and often 10 as well
    weighted = op is ast.Mult and not _is_number(left) and not _is_number(right)
    other = b if main is a else a
    if weighted and (other.graph or other.kind == "exp") and not other.parts:
        report.modulated(main, other, place)
    if weighted and other.masks and not other.parts:
        reduction = _masks.weighed(report, main, other, place)
    reduction = "weighted" if weighted and reduction == "mean" else reduction
    return base.to(kind="loss", reduction=reduction, count=main.count)


def _idle(term: Tensor, others: Tensor) -> tuple[Place, ...]:
    """Where a loss lost its graph that is added to others which have one; l − l.detach() is added on purpose."""
    single = term.parts or term.shape == ()
    if term.cut is None or term.graph is not False or not single or term.cut in others.idle:
        return ()
    return (term.cut,) if others.graph is not False and not term.parts & others.parts else ()


def _power(report: Report, a: Tensor, b: Tensor, exponent: Value, place: Place) -> Tensor:
    if a.kind == "focal" and a.made is not None:
        report.focal(a, place)
    if a.kind == REST:
        return a.to(kind=REST_TO_POWER)
    return a.plain(kind="logits" if a.kind == "logits" and exponent == 1 else "loss" if a.parts else "")


def _numbers(report: Report, op: type[ast.operator], left: Value, right: Value, place: Place) -> Value:
    """Numbers read from losses: sums and their means are followed."""
    first = left if isinstance(left, Number) else right
    both = isinstance(left, Number) and isinstance(right, Number)
    if op is ast.Add:
        parts = together(left.tensor.parts, right.tensor.parts) if both else first.tensor.parts
        if isinstance(left, Unknown) or isinstance(right, Unknown):  # of which it may be a term
            cut = first.tensor.cut
            return Number(first.tensor.to(parts=parts, graph=None, idle=() if cut is None else (cut,)), place)
        return Number(first.tensor.to(parts=parts), place)
    if op is ast.Mult and (type(left) is float or type(right) is float):
        return Number(first.tensor.to(reduction="averaged"), place)
    if op is ast.Mult:
        return Unknown()
    if op is ast.Div and isinstance(left, Number):
        report.averaged(left.tensor, place)
        return Number(left.tensor.to(reduction="averaged"), place)
    return Unknown()


def inverse(x: Tensor, place: Place) -> Tensor:
    """1 / x."""
    return x.plain(kind="sigmoid", made=place) if x.kind == ONE_AND_EXP else x.plain()


def negate(x: Tensor) -> Tensor:
    """−x."""
    if x.kind in (REST_TO_POWER, LOG_OF_LOSS):
        return x
    if x.kind == "loss":
        return x.to(kind="negative")
    if x.kind == "log-probabilities":
        return x.plain(kind="")
    return x if x.kind in ("logits", "normal") else x.plain(kind="negative" if x.kind == "negative" else "")


def inverted(x: Tensor) -> Tensor:
    """~x."""
    return x.plain(kind=OFF_DIAGONAL if x.kind == "identity" else "binary", dtype="bool", masks=x.masks)


def compare(op: type[ast.cmpop], left: Value, right: Value) -> Tensor:
    """Comparisons: rows of independent bits, or one-hot rows."""
    a, b = as_tensor(left), as_tensor(right)
    base = Tensor(kind="binary", dtype="bool", shape=broadcast(a.shape, b.shape), graph=False, cut=a.cut,
                  masks=_masks.separates(op, a, b, right if _is_number(right) else None))  # fmt: skip
    ranges = "range" in (a.kind, b.kind)
    if op is ast.Eq and ranges and "indices" in (a.kind, b.kind):
        return base.to(kind="one-hot", axis=-1, count=base.shape[-1] if base.shape else None)
    if a.kind == "identity" and (op, right) in ((ast.Eq, 1), (ast.Gt, 0), (ast.NotEq, 0)):
        return base.to(kind="identity", axis=-1)
    if a.kind == "identity" and (op, right) in ((ast.Eq, 0), (ast.NotEq, 1)):
        return base.to(kind=OFF_DIAGONAL)
    if a.kind in ("multi-hot", "votes") and (op, right) in ((ast.Gt, 0), (ast.GtE, 1), (ast.NotEq, 0)):
        return base.to(kind="multi-hot", made=a.made, axis=a.axis, count=a.count)
    several = (op is ast.Eq and _each_with_each(a, b)) or (op in _ORDER and _thresholds(a, b, left, right))
    kind = "bits" if several else "binary"
    base = base.to(made=a.made or b.made) if several else base
    if op is ast.Eq and type(right) is int and a.kind == "indices" and a.low == a.high == right:
        base = base.to(low=1, high=1)  # of labels that all are one number
    less = (RANKED, op in (ast.Gt, ast.GtE)) in ((a.kind, True), (b.kind, False))
    if RANKED in (a.kind, b.kind) and op in _ORDER:
        kind = SMALLER if less else kind
    return base.to(kind=kind, equals=right if op is ast.Eq else (right,) if op is ast.NotEq else None)


def _thresholds(a: Tensor, b: Tensor, left: Value, right: Value) -> bool:
    """Whether numbers that hang little on each other are compared with a bound, so that any of a row may be above."""
    if "uniform" in (a.kind, b.kind):
        return True
    x, limit = (a, right) if isinstance(left, Tensor) else (b, left)
    return _is_number(limit) and x.kind in _FREE and (x.rank or 0) > 1 and x.size(-1) != 1


def _each_with_each(a: Tensor, b: Tensor) -> bool:
    """Whether labels are compared with themselves along another axis: several of them may be the same."""
    same = a is not b and a.source is not None and a.source is b.source and a.offset == b.offset
    if not same or "range" in (a.kind, b.kind):
        return False
    if a.shape is None or b.shape is None:
        return True
    pairs = list(zip(a.shape, b.shape))
    return len(a.shape) == len(b.shape) and any(m == 1 != n for m, n in pairs) and any(n == 1 != m for m, n in pairs)


def product_kind(a: Tensor, b: Tensor) -> str:
    """What sums of products are: scores, unless one side is normalised."""
    normalised = ("probabilities", "mixture", "column", "log-probabilities", "sigmoid")
    if a.kind in normalised or b.kind in normalised:
        return ""
    if a.graph or b.graph or "logits" in (a.kind, b.kind):
        return "logits"
    return "normal" if a.graph is False and b.graph is False else ""


def product(a: Tensor, b: Tensor, place: Place) -> Tensor:
    """A @ b."""
    shape = None
    if a.shape and b.shape:
        shape = (*a.shape[:-1], b.shape[-1]) if len(b.shape) > 1 else a.shape[:-1]
    base = merged(a, b)
    mixes = a.kind in ("probabilities", "mixture") and (a.normal in (None, -1) or a.rank is None)
    if mixes and class_axis(b) == -1 and (not b.graph or a.normal == -1):
        return base.to(kind="mixture", made=a.made, shape=shape, axis=-1, count=b.count, dtype="float")
    kind = product_kind(a, b)
    count = shape[-1] if shape else None
    source = a.source if a.source is not None and a.graph else None
    return base.to(
        kind=kind,
        made=place,
        shape=shape,
        axis=-1 if shape is None or len(shape) > 1 else None,
        count=count,
        dtype="float",
        source=source,
        offset=a.offset,
    )
