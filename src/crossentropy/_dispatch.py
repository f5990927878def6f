"""Which backend executes a loss, and why no other that is preferred to it.

A backend is a module:

    eligible(loss)                       reasons why it cannot execute a loss; none if it can
    plan(loss, wanted)                   what it will do: pieces, bytes, FLOPs
    execute(loss, coefficient, wanted)   rows of results, and the gradients of Σ coefficient · rows
    empty_gradient(x, class_dim)         a gradient of logits in the layout that `execute` gives it

One whose logits (or head) may be a slice of the classes, from `begin` on, while labels count all of them, has also

    room(loss)                                     → memory for logits that a head makes, if they may be kept
    measure(loss, begin, kept)                     → RowStatistics (rows), which merge over slices
    conclude(loss, statistics)                     → rows of results, from the statistics of all classes
    compare(loss, student, teacher)                → (2, rows): divergences, the student's share; they add up
    derive(loss, begin, statistics, coefficient, wanted, collectors, kept)        → gradients, from those of all classes

`wanted` tells for input, head and bias of each side whether its gradient is. What a backend does is opaque to torch:
`_autograd` makes one differentiable function of it. But PLAIN is composed of differentiable operators as well, which
have a rule for every transform and for derivatives of any order, and so it can execute every loss.
"""

import logging
from collections.abc import Sequence
from typing import NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from crossentropy import _torch
from crossentropy._backends import chunked, native, reference, triton
from crossentropy._errors import ArgumentValueError
from crossentropy._loss import Collector, Loss, Result, tensors_of
from crossentropy._planner import Plan
from crossentropy._statistics import Comparison, RowStatistics
from crossentropy._values import own_values


class Backend(Protocol):
    """A module that executes losses."""

    __name__: str

    def eligible(self, loss: Loss) -> tuple[str, ...]:
        """Reasons why it cannot execute a loss."""
        ...

    def plan(self, loss: Loss, wanted: tuple[bool, ...]) -> Plan:
        """What it will do."""
        ...

    def execute(self, loss: Loss, coefficient: Tensor | None, wanted: tuple[bool, ...]) -> Result:
        """Rows, and gradients of Σ coefficient · rows, whose coefficients are (K, rows) or (1, rows)."""
        ...

    def empty_gradient(self, x: Tensor, class_dim: int) -> Tensor:
        """An uninitialised gradient of logits."""
        ...


class Slicing(Backend, Protocol):
    """One that works on a slice of the classes too."""

    def room(self, loss: Loss) -> Tensor | None:
        """Room for logits that a head makes, if they may be kept from `measure` to `derive`."""
        ...

    def measure(self, loss: Loss, begin: int, kept: Tensor | None = None) -> RowStatistics:
        """Statistics of rows over the classes from `begin` on."""
        ...

    def conclude(self, loss: Loss, statistics: RowStatistics) -> Result:
        """Rows, from the statistics of all classes."""
        ...

    def compare(self, loss: Loss, student: RowStatistics, teacher: RowStatistics) -> Tensor:
        """What these classes add to the divergence of each row, and to the student's share of it, (2, rows)."""
        ...

    def derive(
        self,
        loss: Loss,
        begin: int,
        statistics: RowStatistics | Comparison,
        coefficient: Tensor,
        wanted: tuple[bool, ...],
        collectors: Sequence[Collector | None] = (),
        kept: Tensor | None = None,
    ) -> tuple[Tensor | None, ...]:
        """Gradients of Σ coefficient · rows for these classes, from the statistics of all classes."""
        ...


BACKENDS: tuple[Backend, ...] = (triton, native, chunked, reference)
"""In order of preference."""

SLICING: tuple[Slicing, ...] = (triton, native, chunked)
"""Those that work on slices of the classes, in order of preference."""

DEVICES = {"triton": "cuda", "native": "cpu"}
"""The type of device that a backend is preferred on, where that is not each. (torch calls AMD's GPUs "cuda", too.)"""

PLAIN = reference

CARDS = triton
"""What executes losses on a GPU that is not here: torch brings Triton there, and has none on a machine without."""

_B = TypeVar("_B", bound=Backend)
_log = logging.getLogger("crossentropy")


class Selection(NamedTuple):
    """The backend that executes a loss."""

    backend: Backend
    reasons: tuple[str, ...]
    """Why none of those that are preferred to it."""

    def __str__(self) -> str:
        return name_of(self.backend) + (f", because {'; '.join(self.reasons)}" if self.reasons else "")


def name_of(backend: Backend) -> str:
    """What `Options` call a backend."""
    return backend.__name__.rpartition(".")[2]


NAMED = {name_of(backend): backend for backend in BACKENDS}
"""The backends by name."""


def select(loss: Loss, asked: str = "auto") -> Selection:
    """The first backend that can execute a loss; the one that is asked for, or an error that says why not."""
    reasons: tuple[str, ...] = ()
    for backend in _preferred(BACKENDS, loss) if asked == "auto" else (NAMED[asked],):
        found = () if backend is PLAIN else (*_transforms(), *_foreign(loss), *backend.eligible(loss))
        if not found:
            break
        if asked != "auto":
            raise ArgumentValueError(f"backend {asked!r} cannot execute this loss: {'; '.join(found)} — use 'auto'")
        reasons = tuple(dict.fromkeys((*reasons, *found)))
    else:
        raise AssertionError("no backend: the last one takes every loss")
    selection = Selection(backend, reasons)
    if not torch.compiler.is_compiling():
        _log.debug("%s of %s logits by %s", loss.kind, tuple(loss.shape), selection)
    return selection


def select_slicing(loss: Loss, asked: str = "auto") -> Slicing:
    """The backend for a loss of which there is a slice of the classes, or an error that says why there is none."""
    able = _preferred(SLICING, loss) if asked == "auto" else [one for one in SLICING if name_of(one) == asked]
    if not able:
        raise ArgumentValueError(f"backend {asked!r} knows no slices of the classes — use 'auto'")
    reasons: tuple[str, ...] = ()
    for backend in able:
        found = (*_transforms(), *_foreign(loss), *backend.eligible(loss))
        if not found:
            return backend
        reasons = tuple(dict.fromkeys((*reasons, *found)))
    raise ArgumentValueError(
        f"this loss cannot be computed of slices of the classes: {'; '.join(reasons)} — cut the rows instead"
    )


def scale(backend: Backend, gradient: Tensor, upstream: Tensor) -> Tensor:
    """A gradient that a backend made times its upstream, one number, in place; where that is 1 it is not touched."""
    if upstream.is_cpu:
        return gradient if upstream.item() == 1.0 else gradient.mul_(upstream)
    if backend is triton and triton.scale(gradient, upstream):
        return gradient
    return gradient.mul_(upstream)


def _preferred(backends: Sequence[_B], loss: Loss) -> list[_B]:
    """Those that are made for the device of a loss."""
    here = loss.sides[0].input.device.type
    return [backend for backend in backends if DEVICES.get(name_of(backend), here) == here]


def _transforms() -> tuple[str, ...]:
    """Transforms that need the rules of plain operators."""
    if torch.compiler.is_compiling():
        traced = "a transform of torch.func inside torch.compile is traced through plain operators"
        return (traced,) if _torch.transformed() else ()
    if _torch.scripting():
        return ("torch.jit.trace records plain operators",)
    if _torch.forward_mode():
        return ("forward-mode derivatives have rules for plain operators",)
    if _torch.maps():
        return ("vmap has rules for plain operators",)
    return ()


def _foreign(loss: Loss) -> tuple[str, ...]:
    """Tensors whose class says itself what operators do."""
    return tuple(
        f"a {type(x).__name__} says itself what operators do"
        for x in tensors_of(loss)
        if x is not None and not own_values(x) and not _torch.tracing()
    )
