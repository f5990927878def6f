"""Which layer of a model is its output head.

    said by the user, or by the model (get_output_embeddings)  →  by a call, where inputs are known  →  by its name

A call is watched: each tensor carries the layers that made it, through everything that is done to it, until another
product or another module with parameters makes something else of it. Those that the outputs carry, the loss too, are
the makers. Which of them can be heads is tried: their logits are let be lazy in a second call.
"""

import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from crossentropy import _torch
from crossentropy._errors import ArgumentTypeError, ArgumentValueError, kind_of
from crossentropy.lazy._heads import KINDS, FusedHead, fused_class, leaves, refusal, set_class, sizes
from crossentropy.lazy._tensor import Event, LazyLogits

Heads = str | nn.Module | Sequence[str | nn.Module] | None

_NAMES = (
    *("lm_head", "head", "heads", "output", "classifier", "fc", "score", "embed_out", "decoder", "proj_out"),
    *("last_linear", "logits", "outc", "final_conv"),
)
"""What models call their output head, as a direct child."""
_AFTER = (nn.LogSoftmax, nn.Softmax, nn.Identity, nn.Flatten, nn.Unflatten)
"""What may come after the head in an nn.Sequential."""
_PRODUCTS = {
    *("linear", "bilinear", "matmul", "mm", "addmm", "bmm", "baddbmm", "mv", "addmv", "dot", "einsum", "tensordot"),
    *("__matmul__", "__rmatmul__", "embedding", "embedding_bag", "conv1d", "conv2d", "conv3d", "conv_transpose1d"),
    *("conv_transpose2d", "conv_transpose3d", "scaled_dot_product_attention", "multi_head_attention_forward"),
}
_JOINING = {"add", "add_", "__add__", "__radd__", "__iadd__", "sub", "__sub__", "cat", "concat", "concatenate", "stack"}
"""What is made by several layers that each may be a head: sums and sequences of logits, and any number."""
_OTHER = frozenset({None})
"""What is made by no layer that may be a head."""
_RECIPE = (
    "where no layer makes the logits, pass head= the module whose matrix does (as an embedding), compute the loss with "
    "crossentropy.functional.linear_cross_entropy(hidden, weight, target), or return crossentropy.LazyLogits(hidden, "
    "weight) in their place"
)


def find(model: nn.Module, head: Heads, example: Any) -> dict[str, nn.Module]:
    """Heads by name."""
    if isinstance(head, (str, nn.Module)):
        return _expanded(dict([_named(model, head)]), said=True)
    if head is not None:
        if not isinstance(head, Sequence) or not head:
            raise ArgumentTypeError(f"head is {head!r}, expected a module, its name, or a sequence of them")
        return _expanded(dict(_named(model, one) for one in head), said=True)
    if example is not None:
        return _makers(model, example)
    found = next((x for x in (_by_name(prefix, inner) for prefix, inner in _wrapped(model)) if x), None)
    if found is None:
        candidates = _candidates(model)
        raise ArgumentValueError(
            f"cannot tell which layer of {type(model).__name__} is its output head: pass head= one of its linear "
            f"layers ({', '.join(candidates[-5:]) or 'there are none'}), or example= inputs to find it by a call, "
            f"which alone tells whose output leaves the model; {_RECIPE}"
        )
    return _expanded(found, said=False)


def _candidates(model: nn.Module) -> list[str]:
    """Layers that may be heads, and adapters around them rather than what these are made of."""
    named = dict(model.named_modules())
    within = tuple(f"{name}." for name, module in named.items() if _is_adapter(module))
    return [name for name, x in named.items() if _is_layer(x) and not _refused(x) and not name.startswith(within)]


def _refused(module: nn.Module) -> bool:
    return any(refusal(part) is not None for _, part in _parts(module, said=True))


# --- by name ------------------------------------------------------------------------------------------------------


def _wrapped(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """A model, and what it wraps: the only child that has parameters, of a module that has none."""
    prefix = ""
    while True:
        yield prefix, model
        children = [(name, child) for name, child in model.named_children() if any(True for _ in child.parameters())]
        works = isinstance(model, nn.Sequential) or any(True for _ in model.parameters(recurse=False))
        if len(children) != 1 or works or isinstance(children[0][1], (nn.ModuleList, nn.ModuleDict)):
            return
        name, model = children[0]
        prefix = f"{prefix}{name}."


def _by_name(prefix: str, model: nn.Module) -> dict[str, nn.Module] | None:
    """The head that a model names, or a child of a usual name; None if there is none, or more than one."""
    output_embeddings = getattr(model, "get_output_embeddings", None)
    found = output_embeddings() if callable(output_embeddings) else None
    if isinstance(found, nn.Embedding):  # some name the embedding that their head is tied to
        tied = [m for m in model.modules() if isinstance(m, nn.Linear) and m.weight is found.weight]
        found = tied[-1] if tied else found
    if isinstance(found, nn.Module):
        name, module = _named(model, found)
        return {prefix + name: module}
    if isinstance(model, KINDS):
        return {prefix.rstrip("."): model}
    children = dict(model.named_children())
    names = [name for name in _NAMES if name in children and _is_layer(_last(children[name])[1])]
    if isinstance(model, nn.Sequential):
        name, last = _last(model)
        names, children = ([name], {name: last}) if _is_layer(last) else ([], {})
    return {prefix + names[0]: children[names[0]]} if len(names) == 1 else None


def _last(module: nn.Module) -> tuple[str, nn.Module]:
    """The layer that an nn.Sequential ends with, but for a softmax, and its name."""
    path = []
    while isinstance(module, nn.Sequential):
        inner = [(name, layer) for name, layer in module.named_children() if not isinstance(layer, _AFTER)]
        if not inner:
            break
        name, module = inner[-1]
        path.append(name)
    return ".".join(path), module


def _named(model: nn.Module, head: str | nn.Module) -> tuple[str, nn.Module]:
    if isinstance(head, str):
        modules = dict(model.named_modules(remove_duplicate=False))
        for prefix, _ in _wrapped(model):
            if prefix + head in modules:
                return prefix + head, modules[prefix + head]
        raise ArgumentValueError(
            f"head {head!r} is no module of {type(model).__name__}; linear layers: {', '.join(_candidates(model)[-5:])}"
        )
    for name, module in model.named_modules():
        if module is head:
            return name, head
    if not isinstance(head, nn.Module):
        raise ArgumentTypeError(f"head is {kind_of(head)}, expected a module, its name, or a sequence of them")
    raise ArgumentValueError(f"head is a {type(head).__name__} that is no module of {type(model).__name__}")


def _expanded(heads: Mapping[str, nn.Module], *, said: bool) -> dict[str, nn.Module]:
    """The layers that heads are made of.

    The last of an nn.Sequential, both products of a low-rank adapter, the copies of which an adapter trains one instead
    of the module itself; and all of a list, if the user names it.
    """
    found: dict[str, nn.Module] = {}
    for name, module in heads.items():
        for suffix, inner in _parts(module, said=said):
            found[".".join(filter(None, (name, suffix)))] = inner
    return found


def _parts(module: nn.Module, *, said: bool) -> Iterator[tuple[str, nn.Module]]:
    layer: Any = module
    inner: list[tuple[str, Any]] = []
    if _has_copies(module):
        copies = layer.modules_to_save.items()
        inner = [("original_module", layer.original_module), *((f"modules_to_save.{name}", x) for name, x in copies)]
    elif _is_low_rank(module):
        inner = [("base_layer", layer.base_layer), *((f"lora_B.{name}", b) for name, b in layer.lora_B.items())]
    elif isinstance(module, nn.ModuleList) and said:
        inner = list(module.named_children())
    elif isinstance(module, nn.Sequential) and not isinstance(_last(module)[1], nn.Sequential):
        inner = [_last(module)]
    if not inner:
        yield "", module
    for name, part in inner:
        yield from ((".".join(filter(None, (name, suffix))), x) for suffix, x in _parts(part, said=said))


def _is_layer(module: nn.Module) -> bool:
    """Whether a module is a layer of which a head may be, or an adapter around one."""
    return isinstance(module, KINDS) or _is_adapter(module)


def _is_adapter(module: nn.Module) -> bool:
    """Whether a module is peft's, around a layer of which a head may be."""
    layer: Any = module
    inner = layer.original_module if _has_copies(module) else getattr(module, "base_layer", None)
    return isinstance(inner, nn.Module) and _is_layer(inner)


def _has_copies(module: nn.Module) -> bool:
    """Whether a module is peft's original, with the copies that are trained in its place."""
    copies, original = getattr(module, "modules_to_save", None), getattr(module, "original_module", None)
    return isinstance(copies, nn.ModuleDict) and isinstance(original, nn.Module)


def _is_low_rank(module: nn.Module) -> bool:
    """Whether a layer is peft's h Wᵀ + s (h Aᵀ) Bᵀ, of which no variant changes the first term."""
    terms = [getattr(module, name, None) for name in ("base_layer", "lora_A", "lora_B")]
    variants = getattr(module, "lora_variant", None)
    plain = not variants and not any(getattr(module, "use_dora", {}).values())
    return plain and isinstance(terms[0], nn.Module) and all(isinstance(x, nn.ModuleDict) for x in terms[1:])


# --- by a call ----------------------------------------------------------------------------------------------------


class _Origin(TorchFunctionMode):
    """Which layers made each tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.known: Any = WeakTensorKeyDictionary()

    def of(self, x: Any) -> frozenset[Any]:
        if isinstance(x, nn.Parameter) and x.dim() > 1:
            return _OTHER
        return self.known.get(x, frozenset()) if isinstance(x, Tensor) else frozenset()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        origins = {origin for x in leaves((args, kwargs or {})) if (origin := self.of(x))}
        if name in _PRODUCTS:
            origins = {_OTHER}
        if not origins:
            return result
        for x in leaves(result):
            if isinstance(x, Tensor):
                mixed = len(origins) > 1 and x.dim() and name not in _JOINING
                self.known[x] = frozenset().union(*origins, _OTHER if mixed else ())
        return result


def _origins(model: nn.Module, example: Any) -> set[nn.Module]:
    """The layers of which the model's outputs are made, without a product in between."""
    origin = _Origin()

    def made(module: nn.Module, _: Any, output: Any) -> None:
        for x in leaves(output):
            if isinstance(x, Tensor):
                origin.known[x] = frozenset({module}) if _may_be_head(module) else _OTHER

    layers = [x for x in model.modules() if _may_be_head(x) or (_is_leaf(x) and _has_vectors(x))]
    with _hooked(layers, made), torch.no_grad(), origin:
        outputs = [x for x in leaves(call(model, example)) if isinstance(x, Tensor)]
    found = [origin.of(x) for x in outputs if x.dim() == 0 or None not in origin.of(x)]
    return set().union(*found) - {None}


def _may_be_head(module: nn.Module) -> bool:
    return isinstance(module, KINDS) or _is_low_rank(module) or hasattr(module, "base_layer")


def _is_leaf(module: nn.Module) -> bool:
    return next(module.children(), None) is None


def _has_vectors(module: nn.Module) -> bool:
    return any(p.numel() != 1 for p in module.parameters())


def _makers(model: nn.Module, example: Any) -> dict[str, nn.Module]:
    """The layers that make a model's outputs, by calls: those whose logits nothing else needs."""
    already = [module for module in model.modules() if isinstance(module, FusedHead)]
    for module in already:
        set_class(module, module.original)
    try:
        with undisturbed(model):
            makers = _origins(model, example)
        named = {name: module for name, module in model.named_modules() if module in makers}
        layers = {name: _expanded({name: module}, said=True) for name, module in named.items()}
        largest = max(layers, key=lambda name: _classes(layers[name]), default=None)
        if largest is None:
            raise ArgumentValueError(f"no layer makes what {type(model).__name__} returns: {_RECIPE}")
        refused = [name for name in layers if _refused(named[name])]
        if largest in refused:
            return layers[largest]  # whose refusal is told
        tried = {name: part for whole in layers if whole not in refused for name, part in layers[whole].items()}
        needed = _needed(model, example, list(tried.values()))
    finally:
        for module in already:
            set_class(module, fused_class(type(module)))
    for part in layers[largest].values():
        if part in needed:
            raise ArgumentValueError(
                f"the logits of {largest!r}, which has the most classes of the layers that make what "
                f"{type(model).__name__} returns, would be computed all the same: {needed[part]}. Change that, or pass "
                f"head= what is to be fused; {_RECIPE}"
            )
    return {name: part for name, part in tried.items() if part not in needed}


def _classes(parts: Mapping[str, nn.Module]) -> int:
    return max((sizes(part)[0] for part in parts.values() if isinstance(part, KINDS)), default=0)


def _needed(model: nn.Module, example: Any, layers: list[nn.Module]) -> dict[nn.Module, Event]:
    """The layers whose logits a call computes even if they may be lazy, and for what."""
    made: list[tuple[nn.Module, LazyLogits]] = []
    for layer in layers:
        set_class(layer, fused_class(type(layer)))

    def keep(module: nn.Module, _: Any, output: Any) -> None:
        made.extend((module, x) for x in leaves(output) if isinstance(x, LazyLogits))

    try:
        with _hooked(layers, keep), torch.no_grad(), undisturbed(model):
            call(model, example)
    finally:
        for layer in layers:
            if isinstance(layer, FusedHead):
                set_class(layer, layer.original)
    return {module: event for module, z in made for event in z._events if not event.fused}


@contextmanager
def _hooked(layers: list[nn.Module], hook: Any) -> Iterator[None]:
    handles = [layer.register_forward_hook(hook) for layer in layers]
    try:
        with _torch.uncompiled():  # so that hooks are called
            yield
    finally:
        for handle in handles:
            handle.remove()


def call(model: nn.Module, batch: Any) -> Any:
    """The output for a mapping of keyword arguments, a tuple of arguments, or one argument."""
    if isinstance(batch, Mapping):
        return model(**batch)
    return model(*batch) if isinstance(batch, (tuple, list)) else model(batch)


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Restore random state, of Python and numpy too, and buffers, so that a call leaves nothing behind."""
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    devices = sorted({x.device.index for x in model.parameters() if x.is_cuda})
    drawn, numpy = random.getstate(), sys.modules.get("numpy")
    drawn_by_numpy = None if numpy is None else numpy.random.get_state()
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        random.setstate(drawn)
        if numpy is not None:
            numpy.random.set_state(drawn_by_numpy)
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)
