"""Hooks on lazy logits that order communication, which a fused loss must not bypass.

FSDP hangs on a module's output the hook that gathers parameters and queues the reduction of *all* gradients;
DistributedDataParallel passes outputs through a node that queues the first reduction of a static graph. Neither looks
at the gradient. A fused loss reaches hidden states and head without passing the logits' node, so whatever is computed
of lazy logits calls their hooks when a gradient comes to it.

With several forward passes before a backward pass that is too soon: all losses come first in it, and then FSDP frees
after the layers of one pass what those of another need. So its hooks are called again when the gradient comes to the
hidden states, where that of the logits would have come.
"""

import functools
import inspect
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor
from torch.utils.hooks import RemovableHandle

Hook = Callable[[Any], Any]


@dataclass(eq=False)
class Hooks:
    """The hooks of lazy logits, and those of the lazy logits that they were derived from."""

    own: "OrderedDict[int, Hook]" = field(default_factory=OrderedDict)
    sources: "list[Hooks]" = field(default_factory=list)
    repeated: "OrderedDict[int, Hook]" = field(default_factory=OrderedDict)
    """Those of these and of all that was derived from them, which may be called twice."""

    def add(self, hook: Hook) -> RemovableHandle:
        """Register a hook; its result is not used."""
        handle = RemovableHandle(self.own)
        self.own[handle.id] = hook
        return handle

    def add_repeated(self, hook: Hook) -> RemovableHandle:
        """Register a hook that is called again by `repeat_at`; its result is not used."""
        firsts = self._firsts()
        handle = RemovableHandle(self.own, extra_dict=[first.repeated for first in firsts])
        for hooks in (self.own, *(first.repeated for first in firsts)):
            hooks[handle.id] = hook
        return handle

    def repeat_at(self, x: Tensor) -> None:
        """Call hooks again when a gradient comes to a tensor."""
        repeated = self.repeated  # and nothing else, which may lead to the tensor's node

        def again(gradients: Any) -> None:
            for hook in tuple(repeated.values()):
                hook(gradients[0])

        if x.grad_fn is not None:
            x.grad_fn.register_prehook(again)

    def _firsts(self) -> "list[Hooks]":
        return [first for source in self.sources for first in source._firsts()] or [self]

    def follow(self, other: "Hooks") -> None:
        """Call the hooks of others too."""
        if not any(source is other for source in self.sources):
            self.sources.append(other)

    def __call__(self, gradients: Any) -> None:
        """A gradient has come, to these logits or to what was computed of them."""
        for hook in tuple(self.own.values()):
            hook(gradients[0])
        for source in self.sources:
            source(gradients)


def orders_communication(hook: object) -> bool:
    """Whether a hook is one of torch.distributed, which gives gradients back as they came."""
    while isinstance(hook, functools.partial):
        hook = hook.func
    return str(getattr(inspect.unwrap(hook), "__module__", "")).startswith("torch.distributed.")  # pyright: ignore[reportArgumentType]


def passes_on(node: Any) -> bool:
    """Whether a node in the graph is that of DistributedDataParallel, whose backward changes no gradient."""
    function: Any = getattr(node, "_forward_cls", None)
    return getattr(function, "__module__", "") == "torch.nn.parallel.distributed" and function.__name__ == "_DDPSink"
