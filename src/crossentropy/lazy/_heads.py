"""Heads that return lazy logits: linear layers, and convolutions that see one position at a time.

    z = h Wᵀ + b            h (…, D) · W (C, D) · b (C)                                 nn.Linear
    z = movedim(h Wᵀ + b)   h (N, H, W, D), the feature map (N, D, H, W) permuted       nn.Conv1d, 2d, 3d of kernel 1

A fused head is the same module, of a subclass of its class: parameters, hooks and names stay, and unfusing restores the
class. Where lazy logits cannot be (compilers, functorch's transforms, forward mode, sharded weights) the head computes.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter
from torch.nn.utils import parametrize

from crossentropy import _torch
from crossentropy.lazy._parts import local_tensors, part_of
from crossentropy.lazy._sharded import Unit, backward_begins, is_unknown, keep, unit_of
from crossentropy.lazy._tensor import LazyLogits, logits_of

KINDS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
"""Layers that may be heads."""


class FusedHead(nn.Module):
    """A layer that returns lazy logits, with the class that it was of."""

    original: ClassVar[type[nn.Module]] = nn.Linear
    """The class that it was of."""
    weight: Tensor
    bias: Tensor | None

    def forward(self, input: Tensor) -> Tensor:
        """The logits, lazily where that is possible."""
        if is_unknown() or _in_one_graph():
            return super().forward(input)
        return _logits(self, input)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return _rebuild, (type(self).original,), self.__dict__


def _in_one_graph() -> bool:
    """Whether a compiler is at work that was asked for a single graph, in which lazy logits cannot be."""
    return torch.compiler.is_compiling() and (not torch.compiler.is_dynamo_compiling() or _torch.one_graph())


@_torch.not_compiled("lazy logits end a graph; the loss that is taken of them runs after it")
def _logits(head: FusedHead, input: Tensor) -> Tensor:
    part = part_of(head, input) if isinstance(head, nn.Linear) else None
    hidden, weight, bias = (input, head.weight, head.bias) if part is None else local_tensors(head, input)
    class_dim = input.dim() - weight.dim() + 1  # 0 or 1 for the feature maps that a convolution takes
    if not possible(hidden, weight, bias) or (weight.dim() > 2 and class_dim not in (0, 1)):
        return head.original.forward(head, input)
    unit = unit_of(head)
    sources = () if unit is None else unit.sources
    if part is not None and not sources:
        sources = tuple(x for x in (head.weight, head.bias) if x is not None)
    if weight.dim() == 2:
        logits = logits_of(hidden, weight, bias, sources=sources, part=part)
    else:
        features = hidden.movedim(class_dim, -1)
        contiguous = not features.is_contiguous() or input.is_contiguous()  # as torch lays them out
        logits = logits_of(
            features, weight.flatten(1), bias, sources=sources, class_dim=class_dim, contiguous=contiguous
        )
    if unit is not None and isinstance(logits, LazyLogits):
        logits._hooks.repeat_at(input)
        if unit.frees:
            _gather_or_compute(unit, logits)
    return logits


def _gather_or_compute(unit: Unit, logits: LazyLogits) -> None:
    """Let a unit keep its weights while lazy logits need them; where no backward pass will free them, compute these."""
    if not logits.requires_grad or not unit.sources:
        _at_the_end(unit, lambda z: z._dense(_WITHOUT_BACKWARD), prepend=True)
        return
    logits._hooks.add(lambda _: backward_begins(unit.module))
    _at_the_end(unit, lambda _: keep(unit.module), prepend=False)


_WITHOUT_BACKWARD = "the end of a module that FSDP wraps, without a backward pass in which it would free its weights"


def _at_the_end(unit: Unit, act: Callable[[LazyLogits], object], *, prepend: bool) -> None:
    """Do something with each of the lazy logits that leave a unit, before FSDP frees its weights or after."""

    @_torch.not_compiled("what gathers weights is FSDP's own")
    def leave(_: nn.Module, inputs: Any, output: Any) -> None:
        handle.remove()
        for z in leaves(output):
            if isinstance(z, LazyLogits):
                act(z)

    handle = unit.module.register_forward_hook(leave, prepend=prepend)


def possible(*tensors: Tensor | None) -> bool:
    """Whether logits of these can be lazy; a transform or a sharded tensor wants them computed."""
    return not (
        not _torch.CAN_BE_LAZY
        or _torch.scripting()
        or _torch.forward_mode()
        or _torch.transform() is not None
        or any(type(x) not in (Tensor, nn.Parameter) for x in tensors if x is not None)
        or any(not x.numel() or x.is_meta for x in tensors if x is not None)
        or not _same_dtype(*tensors)
    )


def _same_dtype(*tensors: Tensor | None) -> bool:
    """Whether torch multiplies these: of one dtype, or made so by autocast, which leaves float64 alone."""
    dtypes = {x.dtype for x in tensors if x is not None}
    device = next(x.device.type for x in tensors if x is not None)
    return len(dtypes) == 1 or (torch.is_autocast_enabled(device) and torch.float64 not in dtypes)


def leaves(output: Any) -> list[Any]:
    """What a module's output is made of: within sequences, mappings, dataclasses and the like."""
    return list(_leaves(output, set()))


def _leaves(output: Any, around: set[int]) -> Iterator[Any]:
    for leaf in _torch.leaves(output):
        fields = _fields(leaf)
        if fields is None:
            yield leaf
        elif id(leaf) not in around:  # which may lead back to itself
            yield from _leaves(fields, {*around, id(leaf)})


def _fields(x: Any) -> list[Any] | None:
    """What a container has that torch does not know; None for everything else."""
    if isinstance(x, Mapping):
        return list(x.values())
    if isinstance(x, SimpleNamespace):
        return list(vars(x).values())
    kind: Any = type(x)
    names = dataclasses.fields(x) if dataclasses.is_dataclass(kind) else getattr(kind, "__attrs_attrs__", None)
    return None if names is None else [getattr(x, field.name, None) for field in names]


@functools.cache
def fused_class(original: type[nn.Module]) -> type[FusedHead]:
    """The class of a fused head that was of another."""
    return type(f"Fused{original.__name__}", (FusedHead, original), {"__module__": __name__, "original": original})


def _rebuild(original: type[nn.Module]) -> FusedHead:
    fused = fused_class(original)
    return fused.__new__(fused)


def set_class(head: nn.Module, cls: type[nn.Module]) -> None:
    """Make a head one of another class."""
    before = type(head).forward
    head.__class__ = cls
    # accelerate's hooks keep the method that they wrap in the instance
    wrapped = head.__dict__.get("_old_forward")
    if getattr(wrapped, "__func__", None) is before:
        head.__dict__["_old_forward"] = cls.forward.__get__(head)


def sizes(head: nn.Module) -> tuple[int, int]:
    """Classes and features of a head."""
    linear = isinstance(head, nn.Linear)
    names = ("out_features", "in_features") if linear else ("out_channels", "in_channels")
    return getattr(head, names[0]), getattr(head, names[1])


def refusal(head: nn.Module) -> str | None:
    """Why a head cannot be fused; None if it can."""
    kind = type(head).__name__
    base = next((base for base in KINDS if isinstance(head, base)), None)
    if hasattr(head, "base_layer"):
        return (
            f"it is a {kind}, an adapter around a linear layer, so that its output is not one product. Leave the head "
            f"out of the adapter's target modules, or merge the adapter first"
        )
    if isinstance(head, nn.ModuleList):
        return "there are several; pass head= a list of them if their logits are used one by one"
    if isinstance(head, nn.Embedding):
        return "it is an Embedding: pass head= its name if the model multiplies by its weight, else the layer that does"
    if base is None:
        return f"it is a {kind}, not an nn.Linear or a 1×1 convolution; pass head= the layer that makes the logits"
    if isinstance(head.weight, UninitializedParameter):
        return "its weight has no shape yet: call the model once"
    if not isinstance(head, FusedHead) and type(head).forward is not base.forward:
        return f"its class {kind} has a forward of its own (quantised?), so that its output may not be one product"
    if "forward" in head.__dict__ and "_old_forward" not in head.__dict__:
        return "its forward was replaced in the instance; fuse the model before that"
    if parametrize.is_parametrized(head):
        return "it is parametrized: its weight is computed anew for each use"
    if isinstance(head, (nn.Conv1d, nn.Conv2d, nn.Conv3d)) and not _sees_one_position(head):
        return (
            f"it is a {kind} with kernel {head.kernel_size}, stride {head.stride}, padding {head.padding} and "
            f"{head.groups} groups, so that its output is not one product: 1×1 convolutions are"
        )
    weight: Any = head.weight
    if not weight.is_floating_point():
        return f"its weight has dtype {weight.dtype}"
    if sizes(head)[0] < 2:
        return "it has one class only"
    return None


def _sees_one_position(head: nn.Conv1d | nn.Conv2d | nn.Conv3d) -> bool:
    padding = (0,) if isinstance(head.padding, str) else head.padding
    return head.groups == 1 and {*head.kernel_size, *head.stride} == {1} and set(padding) == {0}
