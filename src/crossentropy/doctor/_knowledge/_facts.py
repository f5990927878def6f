"""Facts: what is known of a tensor that goes into a loss.

Who watches a program makes exact ones, with sizes that are numbers; who reads it makes them of what the source says. A
fact that is not known is None, or empty; a size that is not known is an `Unknown`. All checks are made over facts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

from crossentropy.doctor._finding import Place
from crossentropy.doctor._knowledge._axes import product

Value: TypeAlias = Any
"""Any value of a program, or what is known of it."""


MOST_TERMS = 8
"""Of something unknown: the values that it may be, or be made of."""


class Unknown:
    """A value that is not known; equal only to itself, and to itself plus a number."""

    __slots__ = ("base", "foreign", "members", "number", "owner", "plus", "terms")

    def __init__(self, base: object = None, plus: int = 0, owner: Unknown | None = None, number: str = "") -> None:
        self.base = self if base is None else base
        self.plus = plus
        self.owner = owner
        """What it is an attribute or an item of."""
        self.foreign: bool = owner is not None and owner.foreign
        """Whether a library that is not read has made it."""
        self.number = number
        """Whether it is an integer: INTEGER, or DRAWN; empty where that is not known."""
        self.members: dict[Value, Value] = {}
        """Its attributes and items, so that one asked for twice is the same."""
        self.terms: tuple[Unknown, ...] = ()
        """What it is the sum or the mean of, or one of."""

    def member(self, key: Value) -> Value:
        """An attribute or an item."""
        if key not in self.members:
            self.members[key] = Unknown(owner=self)
        return self.members[key]

    @classmethod
    def of(cls, *values: Value) -> Unknown:
        """The sum of some values, or one of them."""
        new = cls()
        terms = (term for value in values if isinstance(value, Unknown) for term in (value, *value.terms))
        new.terms = tuple(dict.fromkeys(terms))[:MOST_TERMS]
        return new

    def moved(self, by: int, number: str = "") -> Unknown:
        """It plus a number, or itself as an integer."""
        return Unknown(self.base, self.plus + by, number=number or self.number)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unknown) and self.base is other.base and self.plus == other.plus

    def __hash__(self) -> int:
        return hash((id(self.base), self.plus))


INTEGER = "integer"
"""Of something unknown: an integer,"""
DRAWN = "drawn"
"""and one that is drawn anew each time, between bounds."""


def integer(*values: Value) -> Unknown:
    """An integer that is computed of others."""
    drawn = any(isinstance(value, Unknown) and value.number == DRAWN for value in values)
    return Unknown(number=DRAWN if drawn else INTEGER)


def is_integer(value: Value) -> bool:
    """Whether a value is an integer, known or not."""
    return value.number != "" if isinstance(value, Unknown) else isinstance(value, int) and not isinstance(value, bool)


class Padding(int):
    """A number that stands for padding, by the name it was given."""


class SomePadding(Padding):
    """Padding whose number is not known, such as a tokenizer's."""

    def __new__(cls) -> SomePadding:
        return super().__new__(cls, -(2**62))

    def __format__(self, spec: str) -> str:
        return "PAD"


TO_NORMALISE = "*to normalise"
"""The member of something unknown whose outputs are given to a softmax or log_softmax somewhere."""
AS_TENSOR = ("tensor",)
"""The member of something unknown that is what it is as a tensor."""


def plus(first: Dim, second: Dim) -> Dim:
    """The sum of two lengths."""
    if isinstance(first, int) and isinstance(second, int):
        return first + second
    if isinstance(first, Unknown) and isinstance(second, int):
        return first.moved(second)
    if isinstance(second, Unknown) and isinstance(first, int):
        return second.moved(first)
    return integer(first, second)


def minus(first: Dim, second: Dim) -> Dim:
    """The difference of two lengths."""
    if isinstance(second, int):
        return plus(first, -second)
    if isinstance(first, Unknown) and first.base is second.base:
        return first.plus - second.plus
    return integer(first, second)


def times(sizes: Shape) -> Dim:
    """The product of lengths."""
    found = product(sizes)
    return integer(*(size for size in sizes if isinstance(size, Unknown))) if found is None else found


Dim: TypeAlias = "int | Unknown"
Shape: TypeAlias = tuple[Dim, ...]


@dataclass(eq=False, repr=False)
class Sequence:
    """The rows of tokens that a program reads; tensors cut out of them keep it as their source."""

    padding: Dim | None = None
    """The index that an embedding treats as padding."""
    predicted: bool = False
    """Whether a loss compares each position with the next token."""
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
    entropy: bool = False
    """Whether it is a cross entropy."""


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
    """The axis that a softmax was taken over, counted from the end; from the front if the rank is not known; beyond
    all axes, if it is one with others now."""
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
    diagonal: bool = False
    """Whether −inf was written over its diagonal, of scores that compare each of several things with each."""
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
    masks: bool = False
    """Whether it is 0 at padding alone, or 1."""
    written: Value = None
    """The place that a one was written to last."""
    likely: bool = False
    """Whether what is known holds on one of several ways only."""
    seen: bool = False
    """Whether its kind was told by its numbers alone, not by what made them."""
    caller: Output | None = None
    """The call of something unknown that made it, if it has only been reshaped since."""
    sums: float | None = None
    """What each row sums to."""
    share: Value = None
    """Of a number drawn at random: itself; of rows that are weighed by such: what they sum to, as multiples of it."""
    weighed: bool = False
    """Whether rows weighed by numbers drawn at random were added up, so that by these alone they sum to 1."""
    samples: bool = False
    """Whether its first axis is that of the samples of a batch."""
    packed: bool = False
    """Whether its rows are packed, so that what it holds is its `data`."""
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
    """What a call of something unknown, perhaps of a model, gives; or an entry of it."""

    function: Unknown
    count: int
    """How many arguments it had by position;"""
    names: tuple[str, ...]
    """and which by name."""
    path: tuple[int | str, ...] = ()
    """The keys that lead to the entry."""
    called: bool = True
    """Whether the call was followed, and not only an entry with such a name is used."""
    of_scores: bool = False
    """Whether it was given what another made into scores or probabilities."""
