"""What a branch of a program changes, so that it can be undone and joined with what the other branch changes.

Everything that is written while a program is followed, names, attributes and elements, is written through a journal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, TypeVar

from crossentropy.doctor._source._joins import doubtful, join
from crossentropy.doctor._source._values import Instance, Layer, Tensor, Unknown, Value

_MISSING = object()
_T = TypeVar("_T")
_Key: TypeAlias = tuple[int, Value]
_Log: TypeAlias = dict[_Key, tuple[Value, Value, Value]]
"""By place in memory: the container, its key (None: the whole list), and what was there before."""


class Journal:
    """Writes, and what was there before them."""

    def __init__(self) -> None:
        self._logs: list[_Log] = []

    def store(self, container: dict[Value, Value], key: Value, value: Value) -> None:
        """Write one entry of a dictionary."""
        self._note(container, key, container.get(key, _MISSING))
        container[key] = value

    def change(self, container: list[Value]) -> list[Value]:
        """A list that is about to be changed."""
        if self._logs:
            self._note(container, None, list(container))
        return container

    def _note(self, container: Value, key: Value, before: Value) -> None:
        if self._logs:
            self._logs[-1].setdefault((id(container), key), (container, key, before))

    def fork(self, first: Callable[[], bool], second: Callable[[], bool]) -> tuple[bool, bool]:
        """Follow two ways from here; each says whether it goes on to what comes after, and those that do are joined."""
        alive_a, writes_a = self._try(first)
        alive_b, writes_b = self._try(second)
        for key in writes_a.keys() | writes_b.keys():
            container, name, before = (writes_a.get(key) or writes_b[key])[0]
            a = writes_a[key][1] if key in writes_a else before
            b = writes_b[key][1] if key in writes_b else before
            self._note(container, name, before)
            if alive_a and alive_b:
                _put(container, name, _joined(a, b))
            else:
                _put(container, name, a if alive_a else b)
        return alive_a, alive_b

    def doubted(self, way: Callable[[], _T]) -> _T:
        """Follow the way that a default leads: what it changes is likely only."""
        self._logs.append({})
        try:
            return way()
        finally:
            for container, name, before in self._logs.pop().values():
                self._note(container, name, before)
                _put(container, name, _doubted(before, _get(container, name)))

    def aside(self, way: Callable[[], object]) -> None:
        """Follow a way, and forget what it changes."""
        self._try(lambda: bool(way()))

    def _try(self, way: Callable[[], bool]) -> tuple[bool, dict[_Key, tuple[tuple[Value, Value, Value], Value]]]:
        self._logs.append({})
        try:
            alive = way()
        finally:
            log = self._logs.pop()
            after = {key: (entry, _get(entry[0], entry[1])) for key, entry in log.items()}
            for container, name, before in log.values():
                _put(container, name, before)
        return alive, after


def _doubted(before: Value, after: Value) -> Value:
    if isinstance(after, list) and isinstance(before, list):
        return [item if any(item is old for old in before) else doubtful(item) for item in after]
    return after if after is before or after is _MISSING else doubtful(after)


def _joined(a: Value, b: Value) -> Value:
    """A name that only one way binds has that value where it is used at all."""
    if a is _MISSING or b is _MISSING:
        return b if a is _MISSING else a
    for value, other in ((a, b), (b, a)):
        if value is None and isinstance(other, (Tensor, Layer, Instance)):
            return other  # what is used is that which is there
    return join(a, b)


def _get(container: Value, name: Value) -> Value:
    return list(container) if name is None and isinstance(container, list) else container.get(name, _MISSING)


def _put(container: Value, name: Value, value: Value) -> None:
    if isinstance(container, list):
        container[:] = value if isinstance(value, list) else [Unknown()]
    elif value is _MISSING:
        container.pop(name, None)
    else:
        container[name] = value
