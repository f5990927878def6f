"""Heads that are no layer: a weight that somebody multiplies by, as `hidden @ embedding.weight.T` in a forward.

    z = h Xᵀ       X (C, D) the weight, or what a forward makes of it, as its rows of norm 1

While a module is called that may multiply by the weight, each function of torch is looked at, and the product is not
computed but lazy. What is made of the weight is followed; whatever it is, the product with it is h Xᵀ. The module that
has the weight is looked at, and of an embedding, whose weight others use, all modules around it.

Compilers, functorch's transforms, FSDP and the like see the forward as it is written.
"""

import threading
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from crossentropy._errors import warn
from crossentropy.lazy._heads import KINDS, possible
from crossentropy.lazy._sharded import is_sharded
from crossentropy.lazy._tensor import logits_of

_MATMULS = {torch.matmul, torch.mm, Tensor.matmul, Tensor.mm, Tensor.__matmul__}
_ATTRIBUTE = "_crossentropy_products"

_local = threading.local()


class Products:
    """The hooks that let products with a module's weight be lazy."""

    def __init__(self, holder: nn.Module, around: list[nn.Module], name: str) -> None:
        self.holder, self.name, self.outermost = holder, name, around[0]
        self.handles = [
            handle
            for module in around
            for handle in (
                module.register_forward_pre_hook(self.enter),
                module.register_forward_hook(self.leave, always_call=True),
            )
        ]

    def weights(self) -> list[Tensor]:
        """The matrices of the module."""
        return [p for p in self.holder.parameters(recurse=False) if p.dim() == 2]

    def enter(self, module: nn.Module, _: Any) -> None:
        """Look at all functions from here on."""
        if torch.compiler.is_compiling() or is_sharded(self.holder):
            return
        active = _active()
        mode = None if any(self is of for of, _, _ in active) else _Watch(self)
        if mode is not None:
            mode.__enter__()
        active.append((self, module, mode))

    def leave(self, module: nn.Module, _: Any, output: Any) -> None:
        """Look no longer."""
        active = _active()
        if not active or active[-1][0] is not self or active[-1][1] is not module:
            return  # its call did not come as far as `enter`
        mode = active.pop()[2]
        if mode is None:
            return
        mode.__exit__(None, None, None)
        if output is not None and module is self.outermost and not mode.seen:
            warn(
                f"no product with the weight of {self.name!r} was seen in a call of {type(module).__name__}: its "
                f"logits are computed as before `fuse`"
            )

    def remove(self) -> None:
        """Leave the modules as they were."""
        for handle in self.handles:
            handle.remove()
        del self.holder.__dict__[_ATTRIBUTE]


def _active() -> list[tuple[Products, nn.Module, "_Watch | None"]]:
    if not hasattr(_local, "active"):
        _local.active = []
    return _local.active


class _Watch(TorchFunctionMode):
    """Looks at functions while a module is called."""

    def __init__(self, products: Products) -> None:
        super().__init__()
        self.made: Any = WeakTensorKeyDictionary()
        """What was made of the weight."""
        self.seen = False
        self.embedding = isinstance(products.holder, nn.Embedding)
        self.shapes = set()
        for weight in products.weights():
            self.made[weight] = True
            self.shapes |= {tuple(weight.shape), tuple(weight.shape[::-1])}
        self.classes = products.weights()[0].shape[0]

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
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

    def _is_made(self, *of: Any) -> bool:
        return any(isinstance(x, Tensor) and x in self.made for x in of)

    def _product(self, func: Any, args: Any, kwargs: Any) -> tuple[Tensor, Tensor, Tensor | None] | None:
        """Hidden states, weight and bias of a product with what was made of the weight."""
        values = [*args, *kwargs.values()]
        if len(values) < 2 or not (func is F.linear or func in _MATMULS) or not isinstance(values[1], Tensor):
            return None
        hidden, weight = values[:2]
        if weight not in self.made or not isinstance(hidden, Tensor) or hidden in self.made or not hidden.dim():
            return None
        weight = weight if func is F.linear else weight.t()
        if hidden.shape[-1] != weight.shape[1] or (self.embedding and len(weight) != self.classes) or len(weight) < 2:
            return None
        return hidden, weight, values[2] if len(values) > 2 else None


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
    holder.__dict__[_ATTRIBUTE] = Products(holder, around, name)


def products_of(module: nn.Module) -> Products | None:
    """The hooks of a module whose products are lazy."""
    return module.__dict__.get(_ATTRIBUTE)


def matrix(module: nn.Module) -> tuple[int, int]:
    """The shape of a module's weight."""
    found = next(p for p in module.parameters(recurse=False) if p.dim() == 2)
    return found.shape[0], found.shape[1]
