"""Abstract values: what an expression may be, without running it.

Numbers, strings, tuples, lists and dictionaries are themselves; all that is not known is `Unknown`. A tensor is what is
known of it: what kind of numbers it holds, where they were made, its shape, whether it has a graph.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from crossentropy.doctor._finding import Place
from crossentropy.doctor._knowledge._facts import (
    Dim,
    Output,
    Padding,
    Part,
    Sequence,
    Shape,
    SomePadding,
    Tensor,
    Unknown,
    Value,
)

__all__ = [
    "Dim",
    "Output",
    "Padding",
    "Part",
    "Place",
    "Sequence",
    "Shape",
    "SomePadding",
    "Tensor",
    "Unknown",
    "Value",
]  # fmt: skip


class SettingText(str):
    """A text that is used unless another is given."""

    option: str = ""
    """The option of a command line that it is the default of."""


class SettingFlag(int):
    """A truth that holds unless another is given."""

    option: str = ""


def setting(value: Value) -> Value:
    """A default, which who runs the program may change."""
    return SettingText(value) if type(value) is str else SettingFlag(value) if type(value) is bool else value


def option(value: Value) -> Value:
    """A default of an option; a number of 0 switches something off."""
    return SettingFlag(0) if type(value) in (int, float) and value == 0 else setting(value)


def as_settings(value: Value) -> Value:
    """What was made of a default: a default, or several."""
    return type(value)(map(setting, value)) if isinstance(value, (list, tuple)) else setting(value)


def is_setting(value: Value) -> bool:
    """Whether a value is a default, or what follows from one."""
    return isinstance(value, (SettingText, SettingFlag))


def length(value: Value) -> Dim:
    """The length of an axis; a default of 0 says that another is given."""
    return value if isinstance(value, (int, Unknown)) and not isinstance(value, (bool, SettingFlag)) else Unknown()


@dataclass(frozen=True, eq=False, repr=False)
class Number:
    """A Python number read from a tensor by item(), or a sum of such."""

    tensor: Tensor
    place: Place


@dataclass(frozen=True)
class External:
    """Something of a module that is not read, by its full name."""

    name: str
    likely: bool = field(default=False, compare=False)
    """Whether it is this one only where a default is used."""


@dataclass(eq=False, repr=False)
class Call:
    """The arguments of a call, and where it is."""

    args: list[Value]
    kwargs: dict[str, Value]
    place: Place
    open: bool = False
    """Whether there are arguments besides that are not known."""

    def get(self, name: str, position: int | None = None, default: Value = None) -> Value:
        """An argument by name or position."""
        if name in self.kwargs:
            return self.kwargs[name]
        if position is not None and position < len(self.args):
            return self.args[position]
        return Unknown() if self.open else default

    def given(self, name: str, position: int | None = None) -> bool:
        """Whether an argument is given."""
        return name in self.kwargs or (position is not None and position < len(self.args))

    def after(self, count: int = 1) -> Call:
        """The call without its first arguments."""
        return Call(self.args[count:], self.kwargs, self.place, self.open)

    def before(self, *values: Value) -> Call:
        """The call with more arguments in front."""
        return Call([*values, *self.args], self.kwargs, self.place, self.open)


@dataclass(eq=False, repr=False)
class Layer:
    """An object made by a class that is not read: a layer, a criterion, a loader."""

    name: str
    call: Call
    items: list[Value] = field(default_factory=list)
    """What a container holds, in order."""
    names: list[str] = field(default_factory=list)
    attributes: dict[str, Value] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """Its name without the module."""
        return self.name.rpartition(".")[2]


class Bounded(list[Value]):
    """A list of which some elements are held: of the last few of what is put into it, or of how many it is unknown."""


def is_counted(rows: Value) -> bool:
    """Whether a list or a tuple holds as many elements as it does in the program."""
    return not isinstance(rows, Bounded) and not any(isinstance(row, Maybe) for row in rows)


@dataclass(frozen=True, eq=False, repr=False)
class Maybe:
    """An element of a list that is there on one of several ways only."""

    value: Value


class Scope(dict[str, Value]):
    """The names of a function call, and the scope around it."""

    def __init__(self, parent: Scope | None = None) -> None:
        super().__init__()
        self.parent = parent
        self.elsewhere: dict[str, Scope] = {}
        """Names declared global or nonlocal, and where they are."""

    def find(self, name: str) -> Scope | None:
        """The scope that holds a name."""
        scope: Scope | None = self.elsewhere.get(name, self)
        while scope is not None and name not in scope:
            scope = scope.parent
        return scope


@dataclass(eq=False, repr=False)
class Module:
    """A module that is read."""

    name: str
    source: Value
    scope: Scope
    state: str = ""
    """Empty, "running" or "done"."""
    stars: list[str] = field(default_factory=list)
    """Modules that are not read of which all names are imported."""


Written: TypeAlias = tuple[str, int]
"""Where a function or a class is written: the module and the line."""


@dataclass(eq=False, repr=False)
class Function:
    """A function that is read."""

    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    scope: Scope
    module: Module
    defaults: dict[str, Value]
    name: str = "<lambda>"
    decorators: frozenset[str] = frozenset()
    owner: Class | None = None

    @property
    def written(self) -> Written:
        """Where it is."""
        return self.module.name, self.node.lineno


_ENUMS = ("enum.Enum", "enum.IntEnum", "enum.StrEnum")


@dataclass(eq=False, repr=False)
class Class:
    """A class that is read."""

    name: str
    node: ast.ClassDef
    bases: list[Value]
    scope: Scope
    module: Module
    fields: list[str] = field(default_factory=list)
    """Of a dataclass or named tuple."""
    records: bool = False

    @property
    def written(self) -> Written:
        """Where it is."""
        return self.module.name, self.node.lineno

    def lineage(self) -> Iterator[Value]:
        """The class and those it inherits from, nearest first."""
        seen: set[int] = set()
        line: list[Value] = [self]
        while line:
            first = line.pop(0)
            if id(first) not in seen and len(seen) < 64:
                seen.add(id(first))
                yield first
                line[:0] = first.bases if isinstance(first, Class) else []

    def find(self, name: str, after: Class | None = None) -> Value:
        """An attribute of the class or its bases; with `after`, of those that come after it."""
        skipping = after is not None
        for base in self.lineage():
            if skipping:
                skipping = base is not after
            elif isinstance(base, Class) and name in base.scope:
                return base.scope[name]
        return None

    @property
    def enumerates(self) -> bool:
        """Whether it is a class of enum, whose members stand for their values."""
        return self.external() in _ENUMS

    def external(self) -> str:
        """The name of the first base that is not read."""
        return next((base.name for base in self.lineage() if isinstance(base, External)), "")


@dataclass(eq=False, repr=False)
class Instance:
    """An object of a class that is read."""

    cls: Class
    attributes: dict[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, repr=False)
class Bound:
    """A method and its object; for objects that are not read, the name of the method."""

    owner: Value
    method: Function | str


@dataclass(frozen=True, eq=False, repr=False)
class Partial:
    """A function with some of its arguments."""

    function: Value
    call: Call


@dataclass(frozen=True, eq=False, repr=False)
class Choice:
    """One of several functions, classes or objects."""

    options: tuple[Value, ...]


@dataclass(frozen=True, eq=False, repr=False)
class Super:
    """What super() gives."""

    owner: Value
    after: Class


def is_known(value: Value) -> bool:
    """Whether a value is a plain Python object."""
    return isinstance(value, (int, float, str, bytes, bool, type(None)))
