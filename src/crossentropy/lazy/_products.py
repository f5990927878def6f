"""Heads that are no layer: a weight that somebody multiplies by, as `hidden @ embedding.weight.T` in a forward.

    z = h Xᵀ       X (C, D) the weight, or what a forward makes of it, as its rows of norm 1

While a module is called that may multiply by the weight, each function of torch is looked at, and the product is not
computed but lazy. What is made of the weight is followed; whatever it is, the product with it is h Xᵀ. The module that
has the weight is looked at, and of an embedding, whose weight others use, all modules around it.

Compilers, functorch's transforms, FSDP and the like see the forward as it is written.
"""

import sys
import threading
from dataclasses import dataclass
from types import FrameType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from crossentropy import _torch
from crossentropy._errors import warn
from crossentropy.lazy._heads import KINDS, possible
from crossentropy.lazy._sharded import is_sharded
from crossentropy.lazy._tensor import logits_of

_ARGUMENTS = {
    F.linear: ("input", "weight", "bias"),
    torch.matmul: ("input", "other"),
    torch.mm: ("input", "mat2"),
    Tensor.matmul: ("self", "other"),
    Tensor.mm: ("self", "mat2"),
    Tensor.__matmul__: ("self", "other"),
}
"""Of the functions that multiply by a matrix: what is multiplied, by what, and what is added."""
_OF_HOLDER, _AROUND = "_crossentropy_products", "_crossentropy_products_around"
"""What a module's weight, and what a module that is called, are looked at by."""

_local = threading.local()


class Products:
    """The hooks that let products with a module's weight be lazy."""

    def __init__(self, holder: nn.Module, around: list[nn.Module], name: str) -> None:
        self.holder, self.name, self.around = holder, name, around
        self.handles = [
            handle
            for module in around
            for handle in (
                module.register_forward_pre_hook(self.enter),
                module.register_forward_hook(self.leave, always_call=True),
            )
        ]
        holder.__dict__[_OF_HOLDER] = self
        for module in around:
            module.__dict__.setdefault(_AROUND, []).append(self)

    def weights(self) -> list[Tensor]:
        """The matrices of the module."""
        return [p for p in self.holder.parameters(recurse=False) if p.dim() == 2]

    def is_replaced(self) -> bool:
        """Whether the model has another module in the place of the one that has the weight."""
        return all(module is not self.holder for module in self.around[0].modules())

    def enter(self, module: nn.Module, _: Any) -> None:
        """Look at all functions from here on."""
        if torch.compiler.is_compiling() or is_sharded(self.holder):
            return
        calls = _calls()
        first = all(call.products is not self for call in calls)
        call = _Call(self, sys._getframe(1))
        calls.append(call)
        if first:
            call.watch = _Watch(call)
            _torch.enter_beneath(call.watch)

    def leave(self, module: nn.Module, _: Any, output: Any) -> None:
        """Look no longer."""
        if torch.compiler.is_compiling():
            return
        calls, frame = _calls(), sys._getframe(1)
        call = next((call for call in calls if call.products is self and call.frame is frame), None)
        if call is None:
            return  # its call did not come as far as `enter`, or raised
        calls.remove(call)
        watch = call.watch
        if watch is None:
            return
        _torch.leave_mode(watch)
        if output is None or module is not self.around[0] or watch.seen:
            return
        if self.is_replaced():
            self.remove()
            warn(
                f"{self.name!r} of {type(module).__name__} was replaced since `fuse`: its logits are computed from now "
                f"on; fuse the model again"
            )
        else:
            warn(
                f"no product with the weight of {self.name!r} was seen in a call of {type(module).__name__}: its "
                f"logits are computed as before `fuse`"
            )

    def remove(self) -> None:
        """Leave the modules as they were."""
        for handle in self.handles:
            handle.remove()
        self.handles.clear()
        self.holder.__dict__.pop(_OF_HOLDER, None)
        for module in self.around:
            module.__dict__[_AROUND].remove(self)
            if not module.__dict__[_AROUND]:
                del module.__dict__[_AROUND]
        _calls()


@dataclass(eq=False)
class _Call:
    """A call of a module that is looked at.

    torch calls no hook when a call is ended by what is no Exception, as Ctrl-C. But its frame runs no more then.
    """

    products: Products
    frame: FrameType | None
    """The one that calls the module's hooks and its forward."""
    watch: "_Watch | None" = None
    """What looks; None where a call around it does."""

    def is_over(self) -> bool:
        """Whether it ended, by whatever came, or nobody wants it looked at any more."""
        if self.frame is not None and (not self.products.handles or not _runs(self.frame)):
            self.frame = None  # with all that its variables hold
        return self.frame is None


def _runs(wanted: FrameType) -> bool:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame is not wanted:
        frame = frame.f_back
    return frame is not None


def _calls() -> list[_Call]:
    """The calls of this thread that are looked at, without those that are over."""
    calls: list[_Call] = _local.__dict__.setdefault("calls", [])
    over = [call for call in calls if call.is_over()]
    for call in over:
        calls.remove(call)
        if call.watch is not None:
            _torch.leave_mode(call.watch)
    return calls


class _Watch(TorchFunctionMode):
    """Looks at functions while a module is called."""

    def __init__(self, call: _Call) -> None:
        super().__init__()
        self.call, self.thread = call, threading.get_ident()
        self.made: Any = WeakTensorKeyDictionary()
        """What was made of the weight."""
        self.seen = False
        self.embedding = isinstance(call.products.holder, nn.Embedding)
        self.shapes = set()
        weights = call.products.weights()
        for weight in weights:
            self.made[weight] = True
            self.shapes |= {tuple(weight.shape), tuple(weight.shape[::-1])}
        self.classes = weights[0].shape[0]

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self._is_over():
            return func(*args, **kwargs)
        product = self._product(func, args, kwargs)
        if product is not None:
            self.seen = True
            hidden, weight, bias = product
            if possible(hidden, weight, bias):
                return logits_of(hidden, weight, bias)
        result = func(*args, **kwargs)
        if isinstance(result, Tensor) and tuple(result.shape) in self.shapes and self._is_made(*args, *kwargs.values()):
            self.made[result] = True
        return result

    def _is_over(self) -> bool:
        """Whether the call is over. A mode cannot leave while it is asked: the next call, or `unfuse`, lets it."""
        if self.call.frame is not None and self.thread == threading.get_ident() and self.call.is_over():
            for call in _local.calls:
                call.is_over()
        return self.call.frame is None

    def _is_made(self, *of: Any) -> bool:
        return any(isinstance(x, Tensor) and x in self.made for x in of)

    def _product(self, func: Any, args: Any, kwargs: Any) -> tuple[Tensor, Tensor, Tensor | None] | None:
        """Hidden states, weight and bias of a product with what was made of the weight."""
        names = _ARGUMENTS.get(func, ())
        given = {**dict(zip(names, args)), **{name: x for name, x in kwargs.items() if x is not None}}
        if len(args) > len(names) or not given.keys() <= set(names):
            return None  # another function, or one that writes somewhere
        hidden, weight, bias = (given.get(name) for name in (*names, "bias")[:3])
        if not isinstance(weight, Tensor) or weight not in self.made:
            return None
        if not isinstance(hidden, Tensor) or hidden in self.made or not hidden.dim():
            return None
        weight = weight if func is F.linear else weight.t()
        if hidden.shape[-1] != weight.shape[1] or (self.embedding and len(weight) != self.classes) or len(weight) < 2:
            return None
        return (hidden, weight, bias) if bias is None or bias.shape == weight.shape[:1] else None


def multiplies(module: nn.Module) -> bool:
    """Whether a module has a matrix that it, or somebody else, may multiply by."""
    if isinstance(module, KINDS):
        return False
    matrices = [p for p in module.parameters(recurse=False) if p.dim() == 2]
    return len(matrices) > 0 and matrices[0].is_floating_point()


def watch(model: nn.Module, name: str, holder: nn.Module) -> None:
    """Let products with a module's weight be lazy."""
    path = name.split(".") if name else []
    around = [model.get_submodule(".".join(path[:i])) for i in range(len(path))]
    around = around if isinstance(holder, nn.Embedding) and around else [holder]
    for products in {x for module in around for x in products_around(module)}:
        if products.is_replaced():
            products.remove()
    Products(holder, around, name)


def products_of(module: nn.Module) -> Products | None:
    """The hooks of a module whose products are lazy."""
    return module.__dict__.get(_OF_HOLDER)


def products_around(module: nn.Module) -> tuple[Products, ...]:
    """The hooks on a module by which products with weights in it are lazy."""
    return tuple(module.__dict__.get(_AROUND, ()))


def matrix(module: nn.Module) -> tuple[int, int]:
    """The shape of a module's weight."""
    found = next(p for p in module.parameters(recurse=False) if p.dim() == 2)
    return found.shape[0], found.shape[1]
