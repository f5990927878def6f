"""What is written into tensors and taken out of them row by row, and small facts about syntax."""

from __future__ import annotations

import ast
import math

from crossentropy.doctor._source._arithmetic import SMALLER
from crossentropy.doctor._source._fills import filled
from crossentropy.doctor._source._values import Bound, Function, Padding, Place, Sequence, Tensor, Unknown, Value

MARKED = "marked"
"""The kind of zeros with ones at places that are not known."""

_OUTPUTS = ("logits", "probabilities", "log-probabilities", "sigmoid")
"""Kinds of what models give, at each of several steps."""


def row(x: Tensor) -> Tensor:
    """An element of a tensor over its first axis."""
    if x.shape is None or not x.shape:
        return x.to(axis=None, normal=None, total=None, source=Sequence())
    shape = x.shape[1:]
    source = x.source if not shape and x.source is not None else Sequence()

    def kept(axis: int | None) -> int | None:
        return axis if axis is not None and axis >= -len(shape) else None

    return x.to(shape=shape, axis=kept(x.axis), normal=kept(x.normal), total=None, source=source)


def unpacked(x: Tensor, count: int) -> list[Value]:
    """The rows of a tensor that are given names; who gives names to rows of a batch has something else."""
    first = x.size(0)
    if x.kind and x.shape and first != count:
        return [Unknown() for _ in range(count)]
    return [row(x) for _ in range(count)]


def stored(x: Tensor, index: Value, value: Value, place: Place) -> Tensor:
    """X after x[index] = value."""
    keys = list(index) if isinstance(index, tuple) else [index]
    whole = any(isinstance(key, slice) for key in keys)
    if x.kind in ("zeros", MARKED, "one-hot", "multi-hot") and value in (1, 1.0) and not whole and x.rank is not None:
        hot = _hot(keys) if len(keys) == x.rank else ""
        hot = "multi-hot" if x.kind == "multi-hot" or (hot and _again(x.written, keys)) else hot
        if hot:
            facts = {"made": place, "axis": -1, "count": x.size(-1)} if x.kind in ("zeros", MARKED) else {}
            return x.to(kind=hot, written=tuple(keys), **facts)
        return x.to(kind="", low=None, high=None)
    mask = keys[0] if len(keys) == 1 and isinstance(keys[0], Tensor) and keys[0].dtype == "bool" else None
    if value == -math.inf and (mask is None or mask.kind not in (SMALLER, "identity")):
        if len(keys) == 2 and _is_place_of_its_own(*keys):
            return x.to(kind="" if x.kind == "zeros" else x.kind, low=None, high=None, diagonal=True)
        last = keys[-1] if len(keys) == x.rank or whole else None
        classes = last if isinstance(last, (list, tuple, range)) else [last]
        return x.to(
            kind="" if x.kind == "zeros" else x.kind, low=None, high=None,
            banned=x.banned | {label for label in classes if type(label) is int and label >= 0},
        )  # fmt: skip
    if isinstance(value, Tensor) and not _is_begun(keys):
        if x.kind in ("zeros", "ones", "indices", "") and value.kind in ("indices", "range"):
            highest = max(x.high, value.high) if isinstance(x.high, int) and isinstance(value.high, int) else None
            return x.to(kind="indices", fills=x.fills | value.fills, low=None, high=highest)
        if x.kind in ("zeros", "ones") and value.kind in _OUTPUTS and _are_steps(keys, x, value):
            return value.to(shape=x.shape, axis=-1, normal=None if value.normal is None else -1, likely=True,
                            source=Sequence(), total=None, caller=None)  # fmt: skip
        return x.to(kind=x.kind if x.kind not in ("zeros", "ones") else "", source=Sequence())
    if x.kind in ("zeros", "ones") and x.dtype == "long" and _is_begun(keys):
        fill = Padding(0 if x.kind == "zeros" else 1)
        return x.to(kind="indices", low=None, high=None, fills=frozenset({fill}), source=Sequence(), likely=True)
    if isinstance(value, (Unknown, list)):
        return x.to(kind="" if x.kind in ("zeros", "ones") else x.kind, low=None, high=None)
    result = filled(x, mask, value)
    return result if result.fills == x.fills else result.to(made=place)


def _are_steps(keys: list[Value], x: Tensor, value: Tensor) -> bool:
    """Whether outputs of one step are written beside those of others, with their classes on the last axis."""
    last = all(at in (None, -1, (x.rank or 0) - 2) for at in (value.normal, value.axis))
    *rows, step = keys
    return last and x.rank is not None and isinstance(step, (int, Unknown)) and all(row == slice(None) for row in rows)


def _is_begun(keys: list[Value]) -> bool:
    """Whether a row is written to up to a place of its own, so that the rest of it stays as it was."""
    *rows, last = keys
    varies = isinstance(last, slice) and last.start in (None, 0) and isinstance(last.stop, Unknown)
    return varies and len(rows) == 1 and not isinstance(rows[0], slice)


def _hot(keys: list[Value]) -> str:
    """What ones at some places make of zeros: rows with one each, rows with several, or nothing that is known."""
    *rows, classes = keys
    if any(map(_is_many, rows)):  # pairs of a row and a class
        return "one-hot" if isinstance(classes, (Tensor, list, range)) else ""
    if isinstance(classes, (list, range)):
        return "one-hot" if len(classes) == 1 else "multi-hot"
    if isinstance(classes, Unknown) and rows and not classes.number:
        return MARKED  # it may be a list
    if not isinstance(classes, Tensor):
        return "one-hot"
    if classes.rank == 0 or (rows and classes.rank is None):
        return "one-hot"
    return "" if rows else "multi-hot"


def _is_place_of_its_own(row: Value, column: Value) -> bool:
    """Whether an index is on the diagonal."""
    ranges = all(isinstance(key, Tensor) and key.kind == "range" and key.low == 0 for key in (row, column))
    return ranges or (isinstance(row, (int, range, Unknown)) and row == column)


def _again(written: Value, keys: list[Value]) -> bool:
    """Whether a one has just been written into the same row, at another place."""
    if not written or len(written) != len(keys) or any(map(_is_many, keys)):
        return False
    alike = [a is b or (isinstance(a, (int, Unknown)) and a == b) for a, b in zip(written, keys)]
    return all(alike[:-1]) and not alike[-1]


def _is_many(key: Value) -> bool:
    """Whether an index picks several elements, as far as is known."""
    return isinstance(key, (list, range)) or (isinstance(key, Tensor) and key.rank != 0 and key.rank is not None)


def some(elements: list[Value], count: int) -> list[Value]:
    """The elements that a loop is followed for: all of a few, of more the first and the last."""
    return elements if len(elements) <= count else [*elements[: count - 1], elements[-1]]


def bound(owner: Value, method: Value) -> Value:
    """A method of an object."""
    return Bound(owner, method) if isinstance(method, Function) else method


def dotted(node: ast.expr) -> str:
    """The name of a decorator, as it is written."""
    parts: list[str] = []
    if isinstance(node, ast.Call):
        node = node.func
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        parts.append(node.id)
    return ".".join(reversed(parts))
