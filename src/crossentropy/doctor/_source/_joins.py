"""What is known of a value that may be one or another, and of one that hangs on a default."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from crossentropy.doctor._knowledge._facts import AS_TENSOR, integer, is_integer
from crossentropy.doctor._source._report import together
from crossentropy.doctor._source._values import (
    Bound,
    Choice,
    Class,
    External,
    Function,
    Instance,
    Layer,
    Maybe,
    Partial,
    Sequence,
    Tensor,
    Unknown,
    Value,
    is_known,
    setting,
)

MOST_OPTIONS = 6
LIKELY = "*likely"
"""The attribute of objects that are there only where a default is used."""


def join(first: Value, second: Value) -> Value:
    """What holds of both values."""
    if first is second:
        return first
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        return _join_tensors(first, second)
    if type(first) is type(second) and isinstance(first, (list, tuple)):
        return _join_rows(first, second)
    if type(first) is type(second) and (is_known(first) or isinstance(first, External)) and first == second:
        return first
    if _is_same_dtype(first, second):
        return first
    if isinstance(first, dict) and isinstance(second, dict) and first.keys() == second.keys():
        return {key: join(value, second[key]) for key, value in first.items()}
    if isinstance(first, Unknown) and first == second:
        return first
    if is_integer(first) and is_integer(second):
        return integer(first, second)
    joined = choice([first, second])
    return _join_unknown(first, second) if isinstance(joined, Unknown) else joined


def _join_unknown(first: Value, second: Value) -> Unknown:
    """One of two values, with the attributes and items that both have."""
    joined = Unknown.of(first, second)
    one, other = _members(first), _members(second)
    for name in [name for name in one if name in other]:
        both = join(one[name], other[name])
        new = isinstance(both, Tensor) and both.source is None  # as a tensor it is a sequence of its own
        joined.members[name] = both.to(source=Sequence()) if new else both
    return joined


def _members(value: Value) -> dict[Value, Value]:
    """Attributes and items, by the names that they have in something unknown."""
    if isinstance(value, Layer):
        return value.attributes | _members(tuple(value.items))
    if isinstance(value, tuple):
        return {(i,): item for i, item in enumerate(value) if not isinstance(item, Maybe)}
    return value.members if isinstance(value, Unknown) else {AS_TENSOR: value} if isinstance(value, Tensor) else {}


def _is_same_dtype(first: Value, second: Value) -> bool:
    """Whether two types of tensors differ in their device only: torch.cuda.LongTensor and torch.LongTensor."""
    if not (isinstance(first, External) and isinstance(second, External)):
        return False
    (one, _, last), (other, _, name) = first.name.rpartition("."), second.name.rpartition(".")
    return last == name and last.endswith("Tensor") and {one, other} == {"torch", "torch.cuda"}


def choice(values: Iterable[Value]) -> Value:
    """One of several values that can be called; of others nothing is known."""
    options: list[Value] = []
    for value in values:
        if not _is_option(value):
            return Unknown()
        given = value.options if isinstance(value, Choice) else (value,)
        options += [option for option in given if not any(_is_same(option, other) for other in options)]
    return options[0] if len(options) == 1 else Choice(tuple(options)) if len(options) <= MOST_OPTIONS else Unknown()


def _is_same(first: Value, second: Value) -> bool:
    return first is second or (isinstance(first, External) and first == second)


def _is_option(value: Value) -> bool:
    if isinstance(value, (Layer, External)):
        return value.name.startswith("torch.nn.")
    return isinstance(value, (Choice, Function, Class, Instance, Bound, Partial))


def doubtful(value: Value) -> Value:
    """A value that is this one only where a default is used, or on one of several ways."""
    if isinstance(value, Tensor):
        return value if value.likely else value.to(likely=True)
    if isinstance(value, External):
        return replace(value, likely=True)
    if isinstance(value, (Layer, Instance)):
        value.attributes[LIKELY] = True
        return value
    return Choice((value,)) if isinstance(value, (Class, Function)) else setting(value)


def _join_rows(first: Value, second: Value) -> Value:
    short, long = sorted((first, second), key=len)
    if len(short) == len(long):
        return type(first)(join(a, b) for a, b in zip(first, second))
    if isinstance(first, list) and all(a is b for a, b in zip(short, long)):
        return [*short, *(item if isinstance(item, Maybe) else Maybe(item) for item in long[len(short) :])]
    return Unknown()


def _join_tensors(first: Tensor, second: Tensor) -> Tensor:
    """The facts that both share."""
    same = {name: value for name, value in vars(first).items() if getattr(second, name) == value}
    if "kind" not in same:
        same = {name: same[name] for name in ("shape", "dtype", "graph", "count", "axis") if name in same}
    else:
        same["made"] = first.made
    if first.offset != second.offset:  # of which 0, what a new tensor has, would be a claim
        same.pop("source", None)
    if first.graph != second.graph:
        same["cut"] = first.cut or second.cut
    same["parts"] = together(first.parts, second.parts)
    same["likely"] = first.likely or second.likely
    if first.shape is not None and second.shape is not None and len(first.shape) == len(second.shape):
        same["shape"] = tuple(a if a == b else Unknown() for a, b in zip(first.shape, second.shape))
    return Tensor(**same)
