"""Summaries of functions: a call like one before gives what that gave, and is not followed again.

    f(x) → y,  x′ like x   ⇒   f(x′) → y with each thing of x replaced by that of x′, and what f made anew made anew

So the time is linear in the text of a program, where following each call takes time exponential in how deep calls are
within calls. A call is summarised if all that it does shows in its value: what it was given and what it read are
afterwards as they were before, and it took part in no history, such as that of a gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TypeAlias

from crossentropy.doctor._source._description import Description, Undescribed
from crossentropy.doctor._source._interpreter import Interpreter
from crossentropy.doctor._source._renewal import Renewal
from crossentropy.doctor._source._report import Report
from crossentropy.doctor._source._values import Call, Class, Function, Scope, Tensor, Value

MOST = 12
"""Summaries of one function for one description of its arguments."""
MOST_READS = 256
"""Names around a function that it reads."""
CHEAP = 40
"""Steps: what takes no more is followed faster than it is looked up."""
VAIN = 8
"""How often a function is followed before it is not looked up any more."""
TOKENS = 16
"""Tokens of a description that take as long as one step."""
_Reads: TypeAlias = dict[tuple[int, str], tuple[Scope, str, Value, Description]]


@dataclass
class _Summary:
    """One call that was followed."""

    given: Description
    result: Value
    reads: _Reads
    """Names of scopes around the function, what they were, and their descriptions."""
    fixed: frozenset[int]
    """The things of these."""
    number: int
    """How many losses there had been before the call;"""
    losses: int
    """and how many it has computed."""
    depth: int
    """At which depth what it gave is known: where it was cut short, that at which it was."""


class Summaries:
    """The calls that have been followed."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._summaries: dict[Value, list[_Summary]] = {}
        self._costs: dict[Function | Class, int] = {}
        """The steps that a function took, at most."""
        self._sizes: dict[Function | Class, int] = {}
        """The tokens of the description of its arguments, last."""
        self._vain: dict[Function | Class, int] = {}
        """How often a function was followed since a summary was of use."""
        self._reading: list[_Reads] = []
        self._shortened = 0
        self._spoiled = 0

    # --- what is noticed while a call is followed ---------------------------------------------------------------------

    def read(self, scope: Scope, name: str) -> None:
        """A name of a scope around a function was read."""
        if not self._reading or (id(scope), name) in self._reading[-1]:
            return
        value = scope[name]
        try:
            self._pass_on({(id(scope), name): (scope, name, value, Description([value]))})
        except Undescribed:
            self._spoiled += 1

    def spoil(self) -> None:
        """Something was done that a summary does not hold."""
        self._spoiled += 1

    def shorten(self) -> None:
        """A call was not followed, because it is too deep within others."""
        self._shortened += 1

    # --- calls --------------------------------------------------------------------------------------------------------

    def call(
        self,
        run: Interpreter,
        function: Function | Class,
        call: Call,
        state: tuple[Value, ...],
        follow: Callable[[], Value],
    ) -> Value:
        """The value of a call; `state` is what it hangs on besides its arguments."""
        if not self._is_worthwhile(function):
            return follow()
        try:
            given = Description([call.args, call.kwargs])
        except Undescribed:
            self._spoiled += 1
            return follow()
        self._sizes[function] = len(given.tokens)
        run.steps -= len(given.tokens) // TOKENS
        known = self._summaries.setdefault((function, state, call.open, *given.tokens), [])
        for summary in known:
            if summary.depth <= run.depth and self._fits(summary, given):
                run.steps -= len(summary.reads) // TOKENS
                self._vain[function] = 0
                with suppress(Undescribed):  # what it gave has grown since
                    return self._again(summary, given)
        return self._followed(run, function, call, given, known, follow)

    def _is_worthwhile(self, function: Function | Class) -> bool:
        """Whether to look a call up rather than to follow it."""
        if self._vain.get(function, 0) > VAIN or _constructs(function):
            return False
        return function not in self._costs or self._costs[function] > max(CHEAP, self._sizes[function] // TOKENS)

    def _followed(
        self,
        run: Interpreter,
        function: Function | Class,
        call: Call,
        given: Description,
        known: list[_Summary],
        follow: Callable[[], Value],
    ) -> Value:
        history, number, shortened, left = self._history(), run.report.number, self._shortened, run.steps
        with self._noticing() as reads:
            result = follow()
        steps = left - run.steps
        self._vain[function] = self._vain.get(function, 0) + 1
        self._costs[function] = max(steps, self._costs.get(function, 0))
        if (
            self._is_worthwhile(function)
            and len(known) < MOST
            and self._history() == history
            and _is_unchanged(call, given, reads)
        ):
            fixed = frozenset(id(thing) for *_, read in reads.values() for thing in read.things)
            losses, depth = run.report.number - number, run.depth if self._shortened > shortened else 0
            with suppress(Undescribed):
                made = Renewal(given.things, given.things, fixed, number, 0)(result)  # the result may be changed yet
                known.append(_Summary(given, made, reads, fixed, number, losses, depth))
        return result

    def _history(self) -> tuple[int, int]:
        """What grows where more is done than a summary holds."""
        return self._spoiled, self._report.events

    @contextmanager
    def _noticing(self) -> Iterator[_Reads]:
        reads: _Reads = {}
        self._reading.append(reads)
        try:
            yield reads
        finally:
            self._reading.pop()
            self._pass_on(reads)

    def _pass_on(self, reads: _Reads) -> None:
        if not self._reading:
            return
        if len(self._reading[-1]) + len(reads) > MOST_READS:
            self._spoiled += 1
            return
        for key, read in reads.items():
            self._reading[-1].setdefault(key, read)

    def _fits(self, summary: _Summary, given: Description) -> bool:
        """Whether what was read is what it was, and nothing of it is among what differs in the arguments."""
        if not all(_is_as_read(*read) for read in summary.reads.values()):
            return False
        return all(
            old is new or (id(old) not in summary.fixed and id(new) not in summary.fixed)
            for old, new in zip(summary.given.things, given.things)
        )

    def _again(self, summary: _Summary, given: Description) -> Value:
        """The value of a call that was followed, for other arguments."""
        result = self._renewal(summary, given)(summary.result)
        self._report.number += summary.losses
        self._shortened += summary.depth > 0
        self._pass_on(summary.reads)
        return result

    def _renewal(self, summary: _Summary, given: Description) -> Renewal:
        shift = self._report.number - summary.number
        return Renewal(summary.given.things, given.things, summary.fixed, summary.number, shift)


def _constructs(function: Function | Class) -> bool:
    """Whether a function is there for what it does to its first argument."""
    return function.name in ("__init__", "__post_init__", "__setattr__", "__setitem__")


def _is_unchanged(call: Call, given: Description, reads: _Reads) -> bool:
    """Whether all that went into a call is as it was."""
    try:
        same = Description([call.args, call.kwargs]).tokens == given.tokens
    except Undescribed:
        return False
    return same and all(_is_as_read(*read) for read in reads.values())


def _is_as_read(scope: Scope, name: str, value: Value, description: Description) -> bool:
    """Whether a name of a scope is what it was when it was read."""
    now = scope.get(name)
    if now is value and not description.things:
        return True
    if now is not value and not (isinstance(now, Tensor) and isinstance(value, Tensor)):
        return False
    try:
        return Description([now]).tokens == description.tokens
    except Undescribed:
        return False
