"""Heads whose weight FSDP gathers for a forward pass, and frees when that ends.

The unit of a head is the innermost module around it that FSDP wraps, perhaps the head itself. By default the root keeps
its parameters after its forward pass, all others free them, and gather them again for the backward pass. Lazy logits
need the head's weight in between: so a unit that lazy logits leave gathers at the end of its forward pass what its
backward pass would. The communication is the same, and no use of the logits communicates: one rank alone may look.

Until the backward pass the unit is then as the root is by default. If none comes before an optimizer changes the
sharded parameters, what was gathered of the old ones is freed.
"""

import functools
import weakref
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from crossentropy import _torch


class Unit(NamedTuple):
    """What FSDP gathers and frees together with a head."""

    module: Any
    """That it wraps: one with `unshard` and `reshard`."""
    frees: bool
    """Whether its forward pass ends so."""
    sources: tuple[Tensor, ...]
    """The sharded parameters of the head's; empty where they are not known."""


_owners: "weakref.WeakKeyDictionary[nn.Module, weakref.ref[nn.Module]]" = weakref.WeakKeyDictionary()
_kept: "weakref.WeakSet[nn.Module]" = weakref.WeakSet()


def is_unknown() -> bool:
    """Whether FSDP is in use, and it cannot be told what it wraps."""
    return _torch.sharded_modules() is None


def unit_of(head: Any) -> Unit | None:
    """The unit of a head; None if there is none."""
    states = _torch.sharded_modules()
    if not states:
        return None
    owner = _owners[head]() if head in _owners else _owner(head, list(states))
    if owner is None:
        return None
    _owners[head] = weakref.ref(owner)
    state = states[owner]()
    found = [_torch.gathered_from(state, x) for x in (head.weight, head.bias) if x is not None]
    sources = [x for x in found if x is not None]
    return Unit(owner, _torch.frees_at_the_end(state), tuple(sources) if len(sources) == len(found) else ())


def is_sharded(module: nn.Module) -> bool:
    """Whether FSDP wraps a module, or one around it; or that cannot be told."""
    states = _torch.sharded_modules()
    return states is None or any(module is part for wrapped in states for part in wrapped.modules())


def _owner(head: nn.Module, wrapped: list[nn.Module]) -> nn.Module | None:
    """The innermost wrapped module around a head."""
    around = [x for x in wrapped if hasattr(x, "reshard") and any(head is part for part in x.modules())]
    return min(around, key=lambda module: sum(1 for _ in module.modules()), default=None)


def keep(unit: Any) -> None:
    """Gather what a unit has freed, until its backward pass."""
    _watch_optimizers()
    unit.unshard()
    _kept.add(unit)


def backward_begins(unit: Any) -> None:
    """Leave it to FSDP when a unit frees what it has gathered."""
    _kept.discard(unit)


@functools.cache
def _watch_optimizers() -> None:
    def changed(*_: Any) -> None:
        for unit in tuple(_kept):
            unit.reshard()  # pyright: ignore[reportCallIssue]
        _kept.clear()

    register_optimizer_step_post_hook(changed)
