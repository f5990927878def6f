"""Findings that what follows may prove right: they are held back until the backward pass, a step, or the end.

The mean of kl_div over the classes too may be made good by a factor; the logarithm of a softmax may belong to an
entropy p · log(p + ε); and beside a loss of the token after the next there may be one of the next.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

from crossentropy.doctor._knowledge._facts import Sequence
from crossentropy.doctor._knowledge._loss_call import Found
from crossentropy.doctor._runtime._call import Call
from crossentropy.doctor._runtime._composed import factors, is_entropy
from crossentropy.doctor._runtime._rows import ancestors
from crossentropy.doctor._runtime._sources import distribution_axis
from crossentropy.doctor._runtime._trace import Trace


class _Scaled(NamedTuple):
    """A mean that a factor would make good."""

    found: Found
    mean: Trace
    factor: float
    temperatures: frozenset[float]
    """The squares of what logits were divided by: such a factor may be there for them."""


class Held:
    """The findings that are held back."""

    def __init__(self) -> None:
        self._logs: list[tuple[Trace, Found]] = []
        self._means: list[_Scaled] = []
        self._unmade: list[tuple[Found, float, frozenset[float]]] = []
        """Of the call that is being made, whose result is not there yet."""
        self._shifts: list[tuple[Found, Sequence]] = []

    def told(self) -> Iterator[Found]:
        """What nothing has proved right; from now on it is not held any more."""
        yield from (found for _, found in self._logs)
        yield from (mean.found for mean in self._means)
        yield from (found for found, *_ in self._unmade)
        yield from (found for found, tokens in self._shifts if not tokens.predicted)
        self._logs, self._means, self._unmade, self._shifts = [], [], [], []

    def shift(self, found: Found, tokens: Sequence) -> None:
        """Hold a loss of the token after the next, in case that there is one of the next."""
        self._shifts.append((found, tokens))

    # --- logarithms ---------------------------------------------------------------------------------------------------

    def log(self, trace: Trace, found: Found) -> None:
        """Hold a logarithm of a softmax, in case that it belongs to an entropy."""
        self._logs.append((trace, found))

    def logs_before(self, call: Call) -> Iterator[Found]:
        """The logarithms that have gone into a loss."""
        behind = set(ancestors(call.input)) if self._logs else set()
        yield from (found for trace, found in self._logs if trace in behind)
        self._logs = [log for log in self._logs if log[0] not in behind]

    # --- means --------------------------------------------------------------------------------------------------------

    def divergence(self, found: Found, call: Call) -> None:
        """Hold a divergence whose mean is over too much or too little, until its result is there."""
        shape, axis = call.x.shape, distribution_axis(call.input, call.x.dim())
        by_first = call.reduction == "batchmean"
        factor = shape[0] * shape[axis] / call.x.numel() if by_first else shape[axis]
        divisions = (trace for trace in ancestors(call.input) if trace.op == "div")
        numbers = (number for trace in divisions for number in trace.arguments.values())
        squares = frozenset(float(n) ** 2 for n in numbers if isinstance(n, (int, float)))
        self._unmade.append((found._replace(place=found.place or call.place), factor, squares))

    def made(self, result: Trace) -> None:
        """The result of the call."""
        self._means += [_Scaled(found, result, factor, squares) for found, factor, squares in self._unmade]
        self._unmade.clear()

    def mean(self, found: Found, mean: Trace, factor: float) -> None:
        """Hold a mean over the classes too."""
        self._means.append(_Scaled(found, mean, factor, frozenset()))

    def product(self, trace: Trace) -> None:
        """A product or quotient: it may make an entropy of a logarithm, or a mean good."""
        self._logs = [log for log in self._logs if not is_entropy(trace, log[0])]
        if self._means:
            made = list(factors(trace))
            self._means = [mean for mean in self._means if not any(_makes_good(mean, *at) for at in made)]


def _makes_good(mean: _Scaled, base: Trace, numbers: tuple[float, ...]) -> bool:
    """Whether some of the numbers that follow a mean, one after another, have the product that is needed."""
    if base is not mean.mean:
        return False
    needed = {mean.factor, *(mean.factor * square for square in mean.temperatures)}
    for square in mean.temperatures:
        if square in numbers:
            at = numbers.index(square)
            numbers = (*numbers[:at], *numbers[at + 1 :])
    parts = (numbers[i:j] for i in range(len(numbers)) for j in range(i + 1, len(numbers) + 1))
    return any(math.isclose(math.prod(part), factor, rel_tol=1e-6) for part in parts for factor in needed)
