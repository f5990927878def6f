"""Elements of containers, and the names that numbers are kept under."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from crossentropy.doctor._source import _indexing, _tables
from crossentropy.doctor._source._by_name import one_of
from crossentropy.doctor._source._joins import join
from crossentropy.doctor._source._values import (
    Bounded,
    Class,
    External,
    Layer,
    Maybe,
    Number,
    Padding,
    Place,
    Tensor,
    Unknown,
    Value,
    is_known,
    is_setting,
)


def named(name: Value, value: Value) -> Value:
    """The value under a name: a number called "pad" stands for padding."""
    if type(value) is not int or not isinstance(name, str):
        return value
    low = name.lower()
    return Padding(value) if low == "padding_idx" or ("pad" in low and not low.startswith("padding")) else value


def item_of(owner: Value, index: Value, place: Place) -> Value:
    """An element of a container."""
    if isinstance(owner, Tensor):
        return _indexing.index(owner, index, place)
    if isinstance(owner, (list, tuple, str, range)):
        return _element(owner, index)
    if isinstance(owner, dict):
        if isinstance(index, (Unknown, External)) and index not in owner and len(owner) == 1:
            return next(iter(owner.values()))
        if isinstance(index, Unknown) and index not in owner and owner and "*" not in owner:
            return one_of(owner)
        with suppress(TypeError):
            return owner.get(index, Unknown())
    if isinstance(owner, Layer) and owner.name.startswith("pandas."):
        return _tables.item(owner, index)
    if isinstance(owner, Layer):
        return _part(owner, index)
    if isinstance(owner, Unknown) and isinstance(index, (str, int)):
        return owner.member((index,))
    if isinstance(owner, Unknown) and isinstance(index, (tuple, slice)):
        return _indexing.index(_indexing.as_tensor(owner), index, place)
    if isinstance(owner, Class) and owner.enumerates and isinstance(index, str):
        return owner.scope.get(index, Unknown())
    return owner if isinstance(owner, (External, Class)) else Unknown()


def _element(owner: list[Value] | tuple[Value, ...] | str | range, index: Value) -> Value:
    if isinstance(index, int) or (isinstance(index, slice) and not any(isinstance(x, Unknown) for x in _parts(index))):
        with suppress(IndexError, TypeError, ValueError):
            if isinstance(index, int) and index >= 0 and isinstance(owner, list):
                return _at(owner, index)
            item = owner[index]
            if isinstance(item, Maybe):
                return _any_of(owner)
            return Bounded(item) if isinstance(owner, Bounded) and isinstance(item, list) else item
        return Unknown()
    if isinstance(owner, (list, tuple)) and owner and isinstance(index, (Unknown, Number, Tensor)):
        return _any_of(owner)
    return Unknown()


def _at(rows: list[Value], index: int) -> Value:
    """The element of an index, before which some may be missing: what holds of all that may be there."""
    certain, found = 0, list[Value]()
    for i, row in enumerate(rows):
        if certain <= index <= i:
            found.append(row)
        certain += not isinstance(row, Maybe)
    return _any_of(found) if found else Unknown()


def _any_of(rows: Iterable[Value]) -> Value:
    """What holds of all elements; one that is read is there."""
    first, *others = (row.value if isinstance(row, Maybe) else row for row in rows)
    for other in others:
        first = join(first, other)
    return first


def _parts(index: slice) -> tuple[Value, Value, Value]:
    return index.start, index.stop, index.step


def _part(owner: Layer, index: Value) -> Value:
    if isinstance(index, int) and -len(owner.items) <= index < len(owner.items):
        return Unknown() if isinstance(owner.items[index], Maybe) else owner.items[index]
    if isinstance(index, str) and index in owner.attributes:
        return owner.attributes[index]
    if isinstance(index, str) and index in owner.names:
        return owner.items[owner.names.index(index)]
    if isinstance(index, slice) and owner.items and all(x is None or isinstance(x, int) for x in _parts(index)):
        return Layer(owner.name, owner.call, owner.items[index], owner.names[index], owner.attributes)
    return Unknown()


def identical(left: Value, right: Value) -> bool | None:
    if isinstance(left, Unknown) or isinstance(right, Unknown):
        return None
    if is_setting(left) or is_setting(right):
        return bool(left == right)
    if left is None or right is None or isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return True if left is right or (isinstance(left, External) and left == right) else None


def contains(container: Value, value: Value) -> bool | None:
    if isinstance(container, dict) and is_known(value):
        return value in container
    if isinstance(container, str) and isinstance(value, str):
        return value in container
    if isinstance(container, (list, tuple, range)) and is_known(value):
        if any(is_known(item) and item == value for item in container):
            return True
        return False if all(is_known(item) for item in container) else None
    return None
