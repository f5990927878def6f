"""Heads whose weight FSDP gathers for a forward pass, and frees when that ends.

A module that FSDP wraps by itself frees its weight when it returns, so that its logits are computed at once. Of a head
inside a wrapped module the weight lives until that returns: a loss that is taken inside is fused, and lazy logits that
leave, of which no loss was taken, are computed on their way out. By default the root keeps its parameters.
"""

import weakref

from torch import nn

from crossentropy import _torch

_owners: "weakref.WeakKeyDictionary[nn.Module, weakref.ref[nn.Module]]" = weakref.WeakKeyDictionary()


def is_wrapped(head: nn.Module) -> bool:
    """Whether FSDP wraps a module by itself, or it cannot be told which it wraps."""
    return hasattr(head, "reshard") or _torch.sharded_modules() is None


def freeing(head: nn.Module) -> nn.Module | None:
    """The module that FSDP wraps, and at whose end it frees the weight of a head inside; None if there is none."""
    states = _torch.sharded_modules()
    if not states:
        return None
    owner = _owners[head]() if head in _owners else _owner(head, list(states))
    if owner is None:
        return None
    _owners[head] = weakref.ref(owner)
    return owner if _torch.frees_at_the_end(states[owner]()) else None


def _owner(head: nn.Module, wrapped: list[nn.Module]) -> nn.Module | None:
    """The innermost wrapped module around a head."""
    around = [module for module in wrapped if is_wrapped(module) and any(head is part for part in module.modules())]
    return min(around, key=lambda module: sum(1 for _ in module.modules()), default=None)
