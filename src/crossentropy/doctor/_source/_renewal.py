"""Making a value anew: the things it was made of are replaced, and what was new in it is made again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from crossentropy.doctor._knowledge._facts import AS_TENSOR
from crossentropy.doctor._source._description import Undescribed, noted
from crossentropy.doctor._source._indexing import as_tensor
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
    Tensor,
    Unknown,
    Value,
)

_T = TypeVar("_T")
_FACTS = ("shape", "count", "low", "high", "offset", "source", "parts", "total", "equals", "caller", "written", "share")
"""What a tensor is known by that may be made of something unknown."""


class Renewal:
    """Replaces things of `old` by those of `new` with the same number; `fixed` things stay, others are made anew."""

    def __init__(self, old: list[Value], new: list[Value], fixed: frozenset[int], first: int, shift: int) -> None:
        self._made = {id(a): b for a, b in zip(old, new)}
        for a, b in zip(old, new):
            if isinstance(a, Unknown) and AS_TENSOR in a.members:
                self._made[id(as_tensor(a))] = as_tensor(b)
                self._made[id(as_tensor(a).source)] = as_tensor(b).source
        self._old = old
        self._fixed = fixed
        self._first, self._shift = first, shift
        """Losses with a number above the first are new, and numbered anew."""

    def __call__(self, value: _T) -> _T:
        renew = _KINDS.get(type(value))
        if renew is None:
            if type(value) in _LASTING:
                return value
            raise Undescribed
        if id(value) in self._made:
            return self._made[id(value)]
        if id(value) in self._fixed:
            return value
        made = renew(self, value)
        self._made[id(value)] = made
        return made

    def all(self, values: list[Value]) -> list[Value]:
        """Several values."""
        return [self(value) for value in values]

    def entries(self, table: dict[Value, Value]) -> dict[Value, Value]:
        """The values of a dictionary."""
        return {key: self(value) for key, value in table.items()}

    def _unknown(self, value: Unknown) -> Unknown:
        if value.base is not value:
            base = self(value.base) if isinstance(value.base, Unknown) else None
            return value if base is None or base is value.base else base.moved(value.plus, value.number)
        owner = None if value.owner is None else self(value.owner)
        if value.owner is not None and owner is not None:
            key = next((key for key, member in value.owner.members.items() if member is value), None)
            if owner is value.owner:
                return value
            if key is not None:
                return owner.member(key)
        new = self._made[id(value)] = Unknown(number=value.number)
        new.foreign = value.foreign
        new.members.update(self.entries(noted(value)))
        return new

    def _sequence(self, value: Sequence) -> Sequence:
        for old in self._old:
            if isinstance(old, Sequence):
                for index, row in old.rows.items():
                    if row is value:
                        return self(old).row(index)
        return Sequence(value.padding)

    def _part(self, value: Part) -> Part:
        number = value.number + (self._shift if value.number > self._first else 0)
        return Part(value.place, number, self(value.rows), value.uneven, value.entropy)

    def _tensor(self, value: Tensor) -> Tensor:
        facts = {name: getattr(value, name) for name in _FACTS}
        new = {name: self(fact) for name, fact in facts.items()}
        changed = {name: fact for name, fact in new.items() if fact is not facts[name]}
        return value.to(**changed) if changed else value

    def _tuple(self, value: tuple[Value, ...]) -> tuple[Value, ...]:
        new = [self(item) for item in value]
        return value if all(a is b for a, b in zip(new, value)) else tuple(new)

    def _set(self, value: frozenset[Value]) -> frozenset[Value]:
        return value if not any(isinstance(item, Part) for item in value) else frozenset(map(self, value))

    def _list(self, value: list[Value]) -> list[Value]:
        new = self._made[id(value)] = type(value)()
        new += self.all(value)
        return new

    def _dict(self, value: dict[Value, Value]) -> dict[Value, Value]:
        new = self._made[id(value)] = dict[Value, Value]()
        new.update(self.entries(value))
        return new

    def _instance(self, value: Instance) -> Instance:
        new = self._made[id(value)] = Instance(value.cls)
        new.attributes.update(self.entries(value.attributes))
        return new

    def _layer(self, value: Layer) -> Layer:
        new = self._made[id(value)] = Layer(value.name, self._call(value.call), names=list(value.names))
        new.items += self.all(value.items)
        new.attributes.update(self.entries(value.attributes))
        return new

    def _call(self, value: Call) -> Call:
        return Call(self.all(value.args), self.entries(value.kwargs), value.place, value.open)

    def _output(self, value: Output) -> Output:
        return replace(value, function=self(value.function))

    def _function(self, value: Function) -> Function:
        if value.scope is not value.module.scope and value.owner is None:  # it may read what the call has made
            raise Undescribed
        return value


_KINDS: dict[type, Callable[[Renewal, Value], Value]] = {
    Unknown: Renewal._unknown, Sequence: Renewal._sequence, Part: Renewal._part, Tensor: Renewal._tensor,
    tuple: Renewal._tuple, frozenset: Renewal._set, list: Renewal._list, Bounded: Renewal._list, dict: Renewal._dict,
    Instance: Renewal._instance, Layer: Renewal._layer, Output: Renewal._output, Function: Renewal._function,
    Number: lambda to, value: Number(to(value.tensor), value.place),
    Bound: lambda to, value: Bound(to(value.owner), value.method),
    Partial: lambda to, value: Partial(to(value.function), to._call(value.call)),
    Choice: lambda to, value: Choice(tuple(map(to, value.options))),
    Maybe: lambda to, value: Maybe(to(value.value)),
    slice: lambda to, value: slice(to(value.start), to(value.stop), to(value.step)),
}  # fmt: skip
_LASTING = (
    *(int, float, complex, str, bytes, bool, type(None), range, Place, Padding, SettingText, SettingFlag, External),
    *(Class, Module),
)
