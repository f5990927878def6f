"""`fuse`: let a model's output head return lazy logits, whatever code there is around it.

A fused head is the same module, of a subclass of its class: parameters, hooks and names stay, and unfusing restores the
class. Where lazy logits cannot be (compilers, functorch's transforms, forward mode, sharded weights) the head computes.
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, TypeVar, overload

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from crossentropy import _torch
from crossentropy._errors import ArgumentTypeError, ArgumentValueError, kind_of
from crossentropy.lazy._parts import local_tensors, part_of
from crossentropy.lazy._sharded import Unit, backward_begins, is_unknown, keep, unit_of
from crossentropy.lazy._tensor import Event, LazyLogits, logits_of, observe

_Model = TypeVar("_Model", bound=nn.Module)
Heads = str | nn.Module | Sequence[str | nn.Module] | None

_NAMES = ("lm_head", "head", "output", "classifier", "fc", "embed_out", "decoder", "proj_out")
"""What models call their output head, as a direct child."""


# --- the head -----------------------------------------------------------------------------------------------------


class FusedHead(nn.Linear):
    """A linear layer that returns lazy logits."""

    original: ClassVar[type[nn.Linear]] = nn.Linear
    """The class that it was of."""

    def forward(self, input: Tensor) -> Tensor:
        """The logits, lazily where that is possible."""
        if is_unknown() or _in_one_graph():
            return super().forward(input)
        return _logits(self, input)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return _rebuild, (_original(type(self)),), self.__dict__


def _in_one_graph() -> bool:
    """Whether a compiler is at work that was asked for a single graph, in which lazy logits cannot be."""
    return torch.compiler.is_compiling() and (not torch.compiler.is_dynamo_compiling() or _torch.one_graph())


@_torch.not_compiled("lazy logits end a graph; the loss that is taken of them runs after it")
def _logits(head: FusedHead, input: Tensor) -> Tensor:
    part = part_of(head, input)
    hidden, weight, bias = (input, head.weight, head.bias) if part is None else local_tensors(head, input)
    if not _possible(hidden, weight, bias):
        return nn.functional.linear(input, head.weight, head.bias)
    unit = unit_of(head)
    sources = () if unit is None else unit.sources
    if part is not None and not sources:
        sources = tuple(x for x in (head.weight, head.bias) if x is not None)
    logits = logits_of(hidden, weight, bias, sources=sources, part=part)
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
        for z in _leaves(output):
            if isinstance(z, LazyLogits):
                act(z)

    handle = unit.module.register_forward_hook(leave, prepend=prepend)


def _possible(*tensors: Tensor | None) -> bool:
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


@functools.cache
def _fused_class(original: type[nn.Linear]) -> type[FusedHead]:
    return type(f"Fused{original.__name__}", (FusedHead, original), {"__module__": __name__, "original": original})


def _original(fused: type[FusedHead]) -> type[nn.Linear]:
    return fused.original


def _rebuild(original: type[nn.Linear]) -> FusedHead:
    fused = _fused_class(original)
    return fused.__new__(fused)


def _set_class(head: nn.Module, cls: type[nn.Module]) -> None:
    before = type(head).forward
    head.__class__ = cls
    # accelerate's hooks keep the method that they wrap in the instance
    wrapped = head.__dict__.get("_old_forward")
    if getattr(wrapped, "__func__", None) is before:
        head.__dict__["_old_forward"] = cls.forward.__get__(head)


def _refusal(head: nn.Module) -> str | None:
    """Why a head cannot be fused; None if it can."""
    kind = type(head).__name__
    if hasattr(head, "base_layer"):
        return (
            f"it is a {kind}, an adapter around a linear layer, so that its output is not one product. Leave the head "
            f"out of the adapter's target modules, or merge the adapter first"
        )
    if isinstance(head, nn.ModuleList):
        return "there are several; pass head= a list of them if their logits are used one by one"
    if not isinstance(head, nn.Linear):
        return f"it is a {kind}, not an nn.Linear; pass head= the layer that makes the logits"
    if not isinstance(head, FusedHead) and type(head).forward is not nn.Linear.forward:
        return f"its class {kind} has a forward of its own (quantised?), so that its output may not be one product"
    if "forward" in head.__dict__ and "_old_forward" not in head.__dict__:
        return "its forward was replaced in the instance; fuse the model before that"
    if parametrize.is_parametrized(head):
        return "it is parametrized: its weight is computed anew for each use"
    if not head.weight.is_floating_point():
        return f"its weight has dtype {head.weight.dtype}"
    if head.out_features < 2:
        return "it has one class only"
    return None


# --- finding it ---------------------------------------------------------------------------------------------------


def _find(model: nn.Module, head: Heads, example: Any) -> dict[str, nn.Module]:
    """Heads by name."""
    if isinstance(head, (str, nn.Module)):
        return dict([_named(model, head)])
    if head is not None:
        if not isinstance(head, Sequence) or not head:
            raise ArgumentTypeError(f"head is {head!r}, expected a module, its name, or a sequence of them")
        return dict(_named(model, one) for one in head)
    output_embeddings = getattr(model, "get_output_embeddings", None)
    found = output_embeddings() if callable(output_embeddings) else None
    if isinstance(found, nn.Embedding):  # some name the embedding that their head is tied to
        tied = [m for m in model.modules() if isinstance(m, nn.Linear) and m.weight is found.weight]
        found = tied[-1] if tied else found
    if isinstance(found, nn.Module):
        return dict([_named(model, found)])
    if example is not None:
        return _leaving(model, example)
    if isinstance(model, nn.Linear):
        return {"": model}
    children = dict(model.named_children())
    names = [name for name in _NAMES if isinstance(children.get(name), nn.Linear)]
    if isinstance(model, nn.Sequential) and len(model) and isinstance(model[-1], nn.Linear):
        names = [str(len(model) - 1)]
    if len(names) != 1:
        linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
        raise ArgumentValueError(
            f"cannot tell which layer of {type(model).__name__} is its output head: pass head= one of its linear "
            f"layers ({', '.join(linear[-5:]) or 'there are none'}), or example= inputs to find it by a call"
        )
    return {names[0]: children[names[0]]}


def _named(model: nn.Module, head: str | nn.Module) -> tuple[str, nn.Module]:
    if isinstance(head, str):
        try:
            return head, model.get_submodule(head)
        except AttributeError as error:
            names = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
            raise ArgumentValueError(
                f"head {head!r} is no module of {type(model).__name__}; linear layers: {', '.join(names[-5:])}"
            ) from error
    for name, module in model.named_modules():
        if module is head:
            return name, head
    if not isinstance(head, nn.Module):
        raise ArgumentTypeError(f"head is {kind_of(head)}, expected a module, its name, or a sequence of them")
    raise ArgumentValueError(f"head is a {type(head).__name__} that is no module of {type(model).__name__}")


def _leaving(model: nn.Module, example: Any) -> dict[str, nn.Module]:
    """The linear layers whose output leaves the model, by a call."""
    outputs: list[tuple[str, nn.Module, Tensor]] = []
    names = {module: name for name, module in model.named_modules() if isinstance(module, nn.Linear)}

    def keep(module: nn.Linear, _: Any, out: Tensor) -> None:
        outputs.append((names[module], module, out))

    hooks = [module.register_forward_hook(keep) for module in names]
    try:
        with torch.no_grad(), _undisturbed(model):
            leaves = [x for x in _leaves(_call(model, example)) if isinstance(x, Tensor)]
    finally:
        for hook in hooks:
            hook.remove()
    memory = {x.untyped_storage().data_ptr() for x in leaves}
    found = {name: module for name, module, out in outputs if out.untyped_storage().data_ptr() in memory}
    if not found:
        raise ArgumentValueError(f"no linear layer's output leaves {type(model).__name__}: pass head= its name")
    return found


def _leaves(output: Any) -> list[Any]:
    return _torch.leaves(dict(output) if isinstance(output, Mapping) else output)


def _call(model: nn.Module, batch: Any) -> Any:
    if isinstance(batch, Mapping):
        return model(**batch)
    return model(*batch) if isinstance(batch, (tuple, list)) else model(batch)


@contextmanager
def _undisturbed(model: nn.Module) -> Iterator[None]:
    """Restore random state and buffers, so that a call leaves nothing behind."""
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    devices = sorted({x.device.index for x in model.parameters() if x.is_cuda})
    with torch.random.fork_rng(devices):
        yield
    with torch.no_grad():
        for buffer, before in buffers:
            buffer.copy_(before)


# --- fuse ---------------------------------------------------------------------------------------------------------


@overload
def fuse(model: _Model, head: Heads = None, *, example: Any = None) -> _Model: ...
@overload
def fuse(
    model: nn.Module,
    head: Heads = None,
    *,
    example: Any = None,
    verify: Any,
    loss: Callable[[Any], Tensor] | None = None,
) -> "Verification": ...
def fuse(
    model: nn.Module,
    head: Heads = None,
    *,
    example: Any = None,
    verify: Any = None,
    loss: Callable[[Any], Tensor] | None = None,
) -> Any:
    """Let a model use the linear loss, without a change of its code.

        logits = head(hidden)  →  LazyLogits(hidden, head.weight, head.bias)

    The model's output head returns logits that are computed only if somebody looks (`LazyLogits`). The loss, wherever
    it is taken, comes from hidden states and head in chunks: the logits and their gradient never exist. In place;
    parameters, names and state_dict stay, and fusing twice is harmless.

    Args:
        model: The model. A language model of transformers names its head by `get_output_embeddings()`; of others
            a child of a usual name (lm_head, head, output, classifier, fc…) or the last layer of an nn.Sequential is
            taken.
        head: The head, an nn.Linear of the model, or its name; or several.
        example: Inputs to find the head by a call: the linear layers whose output leaves the model. A mapping of
            keyword arguments, a tuple of arguments, or one argument.
        verify: Inputs to run both ways. Raises if the loss or a gradient differs beyond rounding: by more than half of
            the digits of its dtype, relative to its norm.
        loss: With `verify`: a function of the model's output, by default its `loss`, or the first scalar in it.

    Returns:
        The model; with `verify` a `Verification`, whose figures can be printed.

    Raises:
        ValueError: No head was found, or it is none that can be fused: the message says why.
        TypeError: The model is not an nn.Module.
        RuntimeError: With `verify`: the fused model computes something else.

    Examples:
        >>> model = torch.nn.Sequential(torch.nn.Embedding(1000, 16), torch.nn.Linear(16, 1000))
        >>> tokens = torch.randint(1000, (4, 8))
        >>> logits = fuse(model)(tokens)
        >>> type(logits).__name__, logits.shape
        ('LazyLogits', torch.Size([4, 8, 1000]))
        >>> loss = torch.nn.functional.cross_entropy(logits.view(-1, 1000), tokens.view(-1))

    See Also:
        `unfuse`, `fused`; `crossentropy.lazy.explain`, which says what became of the logits.
    """
    if not isinstance(model, nn.Module):
        raise ArgumentTypeError(f"model is {kind_of(model)}, expected an nn.Module")
    heads = _expanded(_find(model, head, example))
    for name, module in heads.items():
        refusal = _refusal(module)
        if refusal is not None:
            raise ArgumentValueError(f"the head {name!r} of {type(model).__name__} cannot be fused: {refusal}")
    if verify is not None:
        return _verified(model, heads, verify, loss)
    for module in heads.values():
        if not isinstance(module, FusedHead):
            assert isinstance(module, nn.Linear)
            _set_class(module, _fused_class(type(module)))
    return model


def unfuse(model: _Model) -> _Model:
    """Restore what `fuse` changed.

    Args:
        model: A model, fused or not.

    Returns:
        The model, whose heads compute their logits.

    Raises:
        AttributeError: The model is no nn.Module.

    Examples:
        >>> model = unfuse(fuse(torch.nn.Sequential(torch.nn.Linear(4, 10))))
        >>> type(model(torch.randn(2, 4))) is torch.Tensor
        True

    See Also:
        `fuse`; `fused`, which does both.
    """
    for module in model.modules():
        if isinstance(module, FusedHead):
            _set_class(module, _original(type(module)))
    return model


@contextmanager
def fused(model: _Model, head: Heads = None, *, example: Any = None) -> Iterator[_Model]:
    """Fuse a model for a while.

    Args:
        model: The model.
        head: As for `fuse`.
        example: As for `fuse`.

    Returns:
        A context manager that gives the model. Heads that were fused before stay so after.

    Raises:
        ValueError: As `fuse`.

    Examples:
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 10))
        >>> with fused(model):
        ...     type(model(torch.randn(2, 4))).__name__
        'LazyLogits'
        >>> type(model(torch.randn(2, 4))).__name__
        'Tensor'

    See Also:
        `fuse`.
    """
    before = {module for module in model.modules() if isinstance(module, FusedHead)}
    try:
        yield fuse(model, head, example=example)
    finally:
        for module in model.modules():
            if isinstance(module, FusedHead) and module not in before:
                _set_class(module, _original(type(module)))


def _expanded(heads: dict[str, nn.Module]) -> dict[str, nn.Module]:
    """Heads, with the copies of which an adapter trains one instead of the module itself."""
    found = {}
    for name, module in heads.items():
        copies = getattr(module, "modules_to_save", None)
        if isinstance(copies, nn.ModuleDict) and isinstance(getattr(module, "original_module", None), nn.Module):
            found[f"{name}.original_module"] = module.original_module
            found.update({f"{name}.modules_to_save.{adapter}": copy for adapter, copy in copies.items()})
        else:
            found[name] = module
    return found  # pyright: ignore[reportReturnType]


# --- verify -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verification:
    """What a batch gave both ways."""

    loss: float
    """Of the plain model."""
    fused_loss: float
    gradient_difference: float
    """The largest, over parameters, of ‖g − g′‖ / ‖g‖."""
    parameter: str
    """Where that is."""
    tolerance: float
    events: tuple[Event, ...]
    """What became of the logits."""

    @property
    def fused(self) -> bool:
        """Whether the logits were never computed."""
        return bool(self.events) and all(event.fused for event in self.events)

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, as JSON can hold them."""
        return asdict(self)

    def __str__(self) -> str:
        how = "logits were never computed" if self.fused else "; ".join(str(e) for e in self.events if not e.fused)
        return (
            f"loss {self.loss:.7g} plain, {self.fused_loss:.7g} fused; gradients differ by "
            f"{self.gradient_difference:.1e} at most ({self.parameter}; tolerance {self.tolerance:.1e}); {how}"
        )


def _verified(
    model: nn.Module, heads: dict[str, nn.Module], batch: Any, loss: Callable[[Any], Tensor] | None
) -> Verification:
    before = [module for module in model.modules() if isinstance(module, FusedHead)]
    unfuse(model)
    try:
        plain = _losses(model, batch, loss)
        fuse(model, [*before, *heads.values()])
        with observe() as events:
            lazy = _losses(model, batch, loss)
    except BaseException:
        _restore(model, before)
        raise
    parameters = [p for p in model.parameters() if p.requires_grad]
    names = [name for name, p in model.named_parameters() if p.requires_grad]
    tolerance = max((torch.finfo(p.dtype).eps / 2 for p in parameters), default=torch.finfo(torch.float32).eps) ** 0.5
    # a gradient that is 0 but for rounding, as that of a bias of attention's keys, is measured by the others
    least = tolerance**0.5 * max(
        (torch.linalg.vector_norm(g.float()).item() for g in plain[1] if g is not None), default=0
    )
    differences = [_difference(a, b, least) for a, b in zip(plain[1], lazy[1])]
    worst = max(range(len(differences)), key=differences.__getitem__, default=None)
    found = Verification(
        float(plain[0]),
        float(lazy[0]),
        0.0 if worst is None else differences[worst],
        "" if worst is None else names[worst],
        tolerance,
        tuple(events),
    )
    if not found.gradient_difference <= tolerance or not _difference(plain[0], lazy[0]) <= tolerance:
        _restore(model, before)
        raise RuntimeError(f"the fused {type(model).__name__} computes something else, and was left as it was: {found}")
    return found


def _restore(model: nn.Module, before: list[FusedHead]) -> None:
    """Leave those heads fused that were."""
    unfuse(model)
    for head in before:
        _set_class(head, _fused_class(type(head)))


def _losses(
    model: nn.Module, batch: Any, loss: Callable[[Any], Tensor] | None
) -> tuple[Tensor, tuple[Tensor | None, ...]]:
    with _undisturbed(model), torch.enable_grad():
        output = _call(model, batch)
        value = loss(output) if loss is not None else _scalar(output)
        if not isinstance(value, Tensor) or value.numel() != 1:
            raise ArgumentTypeError(f"verify: loss gave {kind_of(value)}, expected a tensor of one element")
        parameters = [p for p in model.parameters() if p.requires_grad]
        gradients = torch.autograd.grad(value, parameters, allow_unused=True) if parameters else ()
    return value.detach(), gradients


def _scalar(output: Any) -> Tensor:
    value = getattr(output, "loss", None)
    if isinstance(value, Tensor):
        return value
    for leaf in _leaves(output):
        if isinstance(leaf, Tensor) and leaf.dim() == 0 and leaf.requires_grad:
            return leaf
    raise ArgumentValueError(
        "verify: the model's output has no loss; pass loss= a function of the output that gives one"
    )


def _difference(a: Tensor | None, b: Tensor | None, least: float = 0.0) -> float:
    """The norm of the difference relative to the norm, or to `least`; inf where only one of them is there."""
    if a is None or b is None:
        return 0.0 if a is b else float("inf")
    a, b = a.double(), b.double()
    distance = torch.linalg.vector_norm(a - b).item()
    return distance / (max(torch.linalg.vector_norm(a).item(), least) or 1.0) if distance else 0.0
