"""Abstract values: what an expression may be, without running it.

Numbers, strings, tuples, lists and dictionaries are themselves; all that is not known is `Unknown`. A tensor is what is
known of it: what kind of numbers it holds, where they were made, its shape, whether it has a graph.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from crossentropy.doctor._finding import Place

Value: TypeAlias = Any
"""Any abstract value."""


class Unknown:
    """A value that is not known; equal only to itself, and to itself plus a number."""

    __slots__ = ("base", "foreign", "members", "owner", "plus")

    def __init__(self, base: object = None, plus: int = 0, owner: Unknown | None = None) -> None:
        self.base = self if base is None else base
        self.plus = plus
        self.owner = owner
        """What it is an attribute or an item of."""
        self.foreign: bool = owner is not None and owner.foreign
        """Whether a library that is not read has made it."""
        self.members: dict[Value, Value] = {}
        """Its attributes and items, so that one asked for twice is the same."""

    def member(self, key: Value) -> Value:
        """An attribute or an item."""
        if key not in self.members:
            self.members[key] = Unknown(owner=self)
        return self.members[key]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unknown) and self.base is other.base and self.plus == other.plus

    def __hash__(self) -> int:
        return hash((id(self.base), self.plus))


class Padding(int):
    """A number that stands for padding, by the name it was given."""


class TokenizerPadding(Padding):
    """The padding of a tokenizer, whose number is not known."""

    def __new__(cls) -> TokenizerPadding:
        return super().__new__(cls, -(2**62))

    def __format__(self, spec: str) -> str:
        return "tokenizer.pad_token_id"


class SettingText(str):
    """A text that is used unless another is given."""

    __slots__ = ()


class SettingFlag(int):
    """A truth that holds unless another is given."""


def setting(value: Value) -> Value:
    """A default, which who runs the program may change."""
    return SettingText(value) if type(value) is str else SettingFlag(value) if type(value) is bool else value


def as_settings(value: Value) -> Value:
    """What was made of a default: a default, or several."""
    return type(value)(map(setting, value)) if isinstance(value, (list, tuple)) else setting(value)


def is_setting(value: Value) -> bool:
    """Whether a value is a default, or what follows from one."""
    return isinstance(value, (SettingText, SettingFlag))


Dim: TypeAlias = "int | Unknown"
Shape: TypeAlias = tuple[Dim, ...]


@dataclass(eq=False, repr=False)
class Sequence:
    """The rows of tokens that a program reads; tensors cut out of them keep it as their source."""

    padding: Dim | None = None
    """The index that an embedding treats as padding."""
    rows: dict[Value, Sequence] = field(default_factory=dict)

    def row(self, index: Value) -> Sequence:
        """One row of several."""
        return self.rows.setdefault(index, Sequence())


@dataclass(frozen=True)
class Part:
    """One execution of one loss call."""

    place: Place
    number: int
    rows: Dim | None
    """How many rows its mean is over."""
    uneven: bool
    """Whether ignored labels make that number vary."""


@dataclass(frozen=True, eq=False, repr=False)
class Tensor:
    """What is known of a tensor (or an array)."""

    kind: str = ""
    """logits, probabilities, sigmoid, log-probabilities, relu, indices, one-hot, loss, …; empty: unknown."""
    made: Place | None = None
    """The operation that gave it its kind."""
    shape: Shape | None = None
    dtype: str = ""
    """float, long or bool; empty: unknown."""
    axis: int | None = None
    """Of the classes, counted from the end, so negative."""
    count: Dim | None = None
    """How many classes there are."""
    normal: int | None = None
    """The axis that a softmax was taken over, counted from the end; from the front if the rank is not known."""
    graph: bool | None = None
    """Whether parameters that are trained receive a gradient through it."""
    own: bool = False
    """Whether it is a leaf, whose own gradient was asked for."""
    cut: Place | None = None
    """Where it lost its graph."""
    low: Dim | None = None
    high: Dim | None = None
    """The bounds of integers, where they are attained."""
    fills: frozenset[int] = frozenset()
    """Labels that were written for positions without a label."""
    source: Sequence | None = None
    """The sequence whose positions these are, and by how much they are shifted."""
    offset: Dim = 0
    banned: frozenset[int] = frozenset()
    """Classes whose logit is −inf."""
    picked: bool = False
    """Whether it is one column of several, of which each has its own mean."""
    mixed: Place | None = None
    """Where a view mixed rows and classes."""
    logs: Place | None = None
    """Where the logarithm of a softmax was taken, if it went into these numbers."""
    reduction: str = ""
    """Of a loss."""
    parts: frozenset[Part] = frozenset()
    """The losses that a loss consists of."""
    total: Tensor | None = None
    """Of a sum or logsumexp: what was summed."""
    equals: Value = None
    """Of a comparison for equality: what was compared with; of one for difference: that, in a tuple."""
    likely: bool = False
    """Whether what is known holds on one of several ways only."""
    caller: Output | None = None
    """The call of something unknown that made it, if it has only been reshaped since."""
    sums: float | None = None
    """What each row sums to."""
    samples: bool = False
    """Whether its first axis is that of the samples of a batch."""
    masked: bool = False
    """Whether −inf was written over all but the largest numbers of each row."""
    clipped: Place | None = None
    """Of log-probabilities: the ReLU that their logits passed last."""
    idle: tuple[Place, ...] = ()
    """Of a sum of losses: where terms of it lost their graph."""

    @property
    def rank(self) -> int | None:
        """The number of axes."""
        return None if self.shape is None else len(self.shape)

    def to(self, **changes: Value) -> Tensor:
        """The same with some facts changed."""
        new = object.__new__(Tensor)  # a fifth of the time of dataclasses.replace
        facts = vars(new)
        facts.update(vars(self))
        facts.update(changes)
        return new

    def plain(self, **changes: Value) -> Tensor:
        """Other numbers of the same shape and history: no kind, no classes."""
        return Tensor(
            shape=self.shape, dtype=self.dtype, graph=self.graph, cut=self.cut, source=self.source, offset=self.offset,
            logs=self.logs, parts=self.parts, likely=self.likely, count=self.count, axis=self.axis, mixed=self.mixed,
            idle=self.idle,
        ).to(**changes)  # fmt: skip

    def size(self, axis: int) -> Dim:
        """The length of an axis."""
        if self.shape is not None and -len(self.shape) <= axis < len(self.shape):
            return self.shape[axis]
        return self.count if axis == self.axis and self.count is not None else Unknown()


@dataclass(frozen=True, eq=False, repr=False)
class Output:
    """A call of something unknown, perhaps of a model."""

    function: Unknown
    count: int
    """How many arguments it had by position;"""
    names: tuple[str, ...]
    """and which by name."""


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
