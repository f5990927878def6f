"""Descriptions of values: two values with equal descriptions differ only in which unknown things they are made of.

    f(x) of shape (U, 8), f(x′) of shape (V, 8)  →  one description, and the pairs (x, x′), (U, V)

What is not known, and what can be changed, is numbered in the order in which it occurs. So a value that was made of one
can be made of the other by putting each of its things in place of the one with the same number.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import fields

from crossentropy.doctor._knowledge._facts import AS_TENSOR
from crossentropy.doctor._source._values import (
    Bound,
    Bounded,
    Call,
    Choice,
    Class,
    External,
    Function,
    Instance,
    Layer,
    Maybe,
    Module,
    Number,
    Output,
    Padding,
    Part,
    Partial,
    Place,
    Sequence,
    SettingFlag,
    SettingText,
    Super,
    Tensor,
    Unknown,
    Value,
)

LARGEST = 12_000
"""Tokens of a description: what is larger is not worth it."""
_DEEPEST = 60
_DEFAULTS = [field.default for field in fields(Tensor)]
_PLAIN = frozenset(
    (
        *(int, float, complex, str, bytes, bool, type(None), type(Ellipsis), range),
        *(Place, Padding, SettingText, SettingFlag),
    )
)


class Undescribed(Exception):  # noqa: N818 (no error: a limit)
    """A value is too large, or of a kind of which nothing is said here."""


class Description:
    """What is known of some values, as a flat list of tokens, and the things that it numbers."""

    def __init__(self, values: Iterable[Value] = ()) -> None:
        self.tokens: list[Value] = []
        self.things: list[Value] = []
        """Tensors, containers, objects and what is not known, by number."""
        self._numbers: dict[int, int] = {}
        self._depth = 0
        for value in values:
            self.add(value)

    def add(self, value: Value) -> None:
        """Describe one more value."""
        kind = type(value)
        if kind in _PLAIN:
            self.tokens += (kind, value)
            return
        self._depth += 1
        if self._depth > _DEEPEST or len(self.tokens) > LARGEST or kind not in _KINDS:
            raise Undescribed
        _KINDS[kind](self, value)
        self._depth -= 1

    def is_new(self, thing: Value, mark: str) -> bool:
        """Number a thing; whether it occurs for the first time."""
        number = self._numbers.setdefault(id(thing), len(self.things))
        self.tokens += (mark, number)
        if number < len(self.things):
            return False
        self.things.append(thing)
        return True

    def number(self, thing: Value) -> int:
        """The number of a thing that has one; else −1."""
        return self._numbers.get(id(thing), -1)


def _same(to: Description, value: Value) -> None:
    to.tokens.append(value)


def _several(to: Description, values: Collection[Value]) -> None:
    tokens = to.tokens
    tokens.append(len(values))
    for value in values:
        kind = type(value)
        if kind in _PLAIN:  # as in add, without a call
            tokens.append(kind)
            tokens.append(value)
        else:
            to.add(value)


def _tuple(to: Description, value: tuple[Value, ...]) -> None:
    to.tokens.append("()")
    _several(to, value)


def _list(to: Description, value: list[Value]) -> None:
    if to.is_new(value, "[]" if type(value) is list else "[…]"):
        _several(to, value)


def _dict(to: Description, value: dict[Value, Value]) -> None:
    if to.is_new(value, "{}"):
        _several(to, value)
        _several(to, value.values())


def _slice(to: Description, value: slice) -> None:
    to.tokens.append("slice")
    _several(to, (value.start, value.stop, value.step))


def noted(value: Unknown) -> dict[Value, Value]:
    """What is known of something unknown: but for its parts, and its being a tensor, which are made when asked for."""
    return {
        key: member
        for key, member in value.members.items()
        if not isinstance(member, Unknown) and (key != AS_TENSOR or _is_whole(member.caller))
    }


def _is_whole(output: Output | None) -> bool:
    return output is not None and not output.path


def _unknown(to: Description, value: Unknown) -> None:
    if not to.is_new(value, "?"):
        return
    to.is_new(value.base, "base")
    to.tokens += (value.plus, value.foreign, value.number, to.number(value.owner))
    said = noted(value)
    _several(to, said)
    _several(to, said.values())


def _sequence(to: Description, value: Sequence) -> None:
    if to.is_new(value, "tokens"):
        to.add(value.padding)


def _part(to: Description, value: Part) -> None:
    if to.is_new(value, "part"):
        to.tokens += (value.place, value.uneven)
        to.add(value.rows)


def _tensor(to: Description, value: Tensor) -> None:
    if not to.is_new(value, "tensor"):
        return
    for (name, fact), default in zip(vars(value).items(), _DEFAULTS):
        if fact is not default:
            to.tokens.append(name)
            to.add(fact)


def _set(to: Description, value: frozenset[Value]) -> None:
    to.tokens.append("{…}")
    _several(to, sorted(value, key=lambda item: item.number if isinstance(item, Part) else item))


def _output(to: Description, value: Output) -> None:
    to.tokens += ("output", value.count, value.names, value.path, value.called, value.of_scores)
    to.add(value.function)


def _number(to: Description, value: Number) -> None:
    to.tokens += ("number", value.place)
    to.add(value.tensor)


def _external(to: Description, value: External) -> None:
    to.tokens += ("external", value.name, value.likely)


def _call(to: Description, value: Call) -> None:
    to.tokens += ("call", value.place, value.open)
    _several(to, value.args)
    to.tokens += value.kwargs
    _several(to, value.kwargs.values())


def _layer(to: Description, value: Layer) -> None:
    if to.is_new(value, "layer"):
        to.tokens += (value.name, *value.names)
        _call(to, value.call)
        _several(to, value.items)
        _several(to, value.attributes)
        _several(to, value.attributes.values())


def _instance(to: Description, value: Instance) -> None:
    if to.is_new(value, "object"):
        to.tokens.append(value.cls)
        _several(to, value.attributes)
        _several(to, value.attributes.values())


def _bound(to: Description, value: Bound) -> None:
    to.tokens += ("bound", value.method)
    to.add(value.owner)


def _partial(to: Description, value: Partial) -> None:
    to.tokens.append("partial")
    to.add(value.function)
    _call(to, value.call)


def _choice(to: Description, value: Choice) -> None:
    to.tokens.append("choice")
    _several(to, value.options)


def _maybe(to: Description, value: Maybe) -> None:
    to.tokens.append("maybe")
    to.add(value.value)


def _super(to: Description, value: Super) -> None:
    to.tokens += ("super", value.after)
    to.add(value.owner)


_KINDS: dict[type, Callable[[Description, Value], None]] = {
    **dict.fromkeys((Function, Class, Module, type(NotImplemented)), _same),
    tuple: _tuple, list: _list, Bounded: _list, dict: _dict, frozenset: _set, slice: _slice, Unknown: _unknown,
    Sequence: _sequence,
    Part: _part, Tensor: _tensor, Output: _output, Number: _number, External: _external, Call: _call, Layer: _layer,
    Instance: _instance, Bound: _bound, Partial: _partial, Choice: _choice, Maybe: _maybe, Super: _super,
}  # fmt: skip
