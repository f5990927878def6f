"""Numbers that are written over others: labels for padding, ones for classes."""

from __future__ import annotations

import math

from crossentropy.doctor._source._arithmetic import SMALLER, broadcast
from crossentropy.doctor._source._indexing import as_tensor
from crossentropy.doctor._source._report import MASKED, Report
from crossentropy.doctor._source._values import Call, Padding, Tensor, Unknown, Value


def masked_fill(report: Report, x: Tensor, call: Call) -> Tensor:
    """Of the call x.masked_fill(mask, value)."""
    mask, value = as_tensor(call.get("mask")), call.get("value")
    return filled(x, mask, value)


def filled(x: Tensor, mask: Tensor | None, value: Value) -> Tensor:
    """A tensor with some numbers replaced: labels that are filled in, and fills that are taken out."""
    if mask is not None and mask.kind == SMALLER and value == -math.inf:
        return x.to(masked=True)
    if mask is not None and mask.masks and value in (0, 0.0) and x.reduction == "none" and x.parts:
        return x.to(reduction=MASKED)
    if mask is not None and mask.masks and (x.kind, value) in (("ones", 0), ("zeros", 1)):
        return x.to(kind="binary", low=None, high=None, masks=True)
    if mask is not None and mask.kind == "identity":
        return filled_diagonal(x, value)
    if (isinstance(value, Tensor) and value.kind == "constant") or (isinstance(value, float) and x.kind == "logits"):
        return x
    if not isinstance(value, int) or isinstance(value, bool):
        return x.to(
            kind="" if x.kind in ("zeros", "ones") else x.kind, fills=frozenset(), low=None, high=None, source=None
        )
    if x.kind in ("zeros", "ones") and x.dtype == "float":
        return x.to(kind="", low=None, high=None)
    if x.kind == "logits":
        return x
    kind = (
        "indices"
        if x.kind in ("", "indices", "range") or (x.kind in ("zeros", "ones") and x.dtype == "long")
        else x.kind
    )
    if kind != "indices":
        return x.to(kind="", low=None, high=None)
    fills = x.fills
    if mask is not None and mask.equals is not None:
        fills = frozenset(fill for fill in fills if fill != mask.equals)
        if len(fills) < len(x.fills):
            return x.to(kind=kind, fills=fills | {value})
    marked = frozenset(fill for fill in fills if fill < 0 and not isinstance(fill, Padding))
    if mask is not None and value >= 0 and marked:  # a token takes the place of what no token is
        return x.to(kind=kind, fills=(fills - marked) | {Padding(value)}, low=None, high=None)
    if value < 0 and not isinstance(value, Padding):  # padding may be among what is ignored now
        fills = frozenset(fill for fill in fills if not isinstance(fill, Padding))
    marks = isinstance(value, Padding) or value < 0 or value in (255,)
    number = value if marks else None
    if number is None:
        return x.to(kind=kind, high=max(x.high, value) if isinstance(x.high, int) else value, source=None)
    bounds = {"low": None, "high": None} if mask is not None and value < 0 else {}  # which labels stay is not known
    return x.to(kind=kind, fills=fills | {number}, **bounds)


def filled_diagonal(x: Tensor, value: Value) -> Tensor:
    """A tensor with another number all over its diagonal."""
    if value == -math.inf:
        return x.to(diagonal=True)
    return x if x.kind in ("logits", "bits") else x.plain()


def fill_diagonal(report: Report, x: Tensor, call: Call) -> Tensor:
    """Of the call x.fill_diagonal_(value)."""
    return filled_diagonal(x, call.get("fill_value"))


def where(report: Report, condition: Tensor, call: Call) -> Value:
    """Of the call torch.where(condition, input, other)."""
    a, b = call.get("input"), call.get("other")
    for value, other in ((a, b), (b, a)):
        if isinstance(other, (Tensor, Unknown)) and isinstance(value, (int, float)):
            x = as_tensor(other)
            equals = condition.equals
            matched = equals if value is a else equals[0] if isinstance(equals, tuple) else None
            mask = condition.to(equals=None if isinstance(matched, tuple) else matched)
            return filled(x, mask, value)
    first, second = as_tensor(a), as_tensor(b)
    if first.kind == "banned" and second.kind == "logits":
        return filled(second, condition, -math.inf)
    kind = first.kind if first.kind == second.kind else ""
    shape = broadcast(first.shape, second.shape)
    shape = shape if condition.shape is None else broadcast(condition.shape, shape)
    fills = first.fills | second.fills
    return first.to(kind=kind, shape=shape, low=None, high=None, fills=fills, source=None, total=None)


def one_hot(report: Report, x: Tensor, call: Call) -> Tensor:
    """Of rows with a single one, of class indices."""
    count = call.get("num_classes")
    size = count if isinstance(count, (int, Unknown)) and count != -1 else Unknown()
    shape = None if x.shape is None else (*x.shape, size)
    return Tensor(kind="one-hot", made=call.place, shape=shape, dtype="long", graph=False, axis=-1, count=size)


def scatter(report: Report, x: Tensor, call: Call) -> Tensor:
    """Of the call x.scatter(dim, index, 1): rows of ones and zeros."""
    index, value = as_tensor(call.get("index")), call.get("value", default=call.get("src"))
    if x.kind != "zeros" or value not in (1, 1.0):
        return x.to(kind="", low=None, high=None) if x.kind in ("zeros", "ones") else x
    dim, rank = call.get("dim"), x.rank if x.rank is not None else index.rank
    axis = dim if type(dim) is int and dim < 0 else dim - rank if type(dim) is int and rank is not None else -1
    columns = index.shape[axis] if index.shape and -len(index.shape) <= axis else None
    kind = "one-hot" if columns == 1 or columns is None else "multi-hot"
    return x.to(kind=kind, made=call.place, axis=axis, count=x.size(axis))
