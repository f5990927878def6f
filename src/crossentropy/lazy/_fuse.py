"""`fuse`: let a model's output head return lazy logits, whatever code there is around it; and the proof of it.

Which layer the head is: `_finding`. What it becomes: `_heads`. Weights that are multiplied by without one: `_products`.
"""

import logging
from collections.abc import Callable, Mapping
from contextlib import ContextDecorator
from dataclasses import asdict, dataclass
from typing import Any, Generic, TypeVar, overload

import torch
from torch import Tensor, nn

from crossentropy._errors import ArgumentTypeError, ArgumentValueError, kind_of
from crossentropy.lazy._finding import Heads, call, find, undisturbed
from crossentropy.lazy._heads import FusedHead, fused_class, leaves, refusal, set_class, sizes
from crossentropy.lazy._products import matrix, multiplies, products_around, products_of, watch
from crossentropy.lazy._tensor import Event, observe

_Model = TypeVar("_Model", bound=nn.Module)
_log = logging.getLogger("crossentropy")


@dataclass(frozen=True)
class Head:
    """A head that is fused."""

    name: str
    """Of the module, in the model."""
    classes: int
    in_features: int

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, as JSON can hold them."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.name or 'the model'} ({self.classes} classes of {self.in_features} features)"


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
            taken; of a module that only wraps another, that of the other.
        head: The head, a layer of the model, or its name; or several. An nn.Linear, a 1×1 convolution, an nn.Sequential
            that ends with one, LoRA on one; or a module whose matrix is multiplied by without a layer, as an
            embedding's or a cosine head's. Default: what makes the logits, found by the model's own names, or by
            `example`.
        example: Inputs to find the head by a call: the layers that make what the model returns. A mapping of keyword
            arguments, a tuple of arguments, or one argument. Default: no call.
        verify: Inputs to run both ways. Raises if the loss or a gradient differs beyond rounding: by more than half of
            the digits of its dtype, relative to its norm. Default: nothing is run.
        loss: With `verify`: a function of the model's output, by default its `loss`, or the first scalar in it.

    Returns:
        The model; with `verify` a `Verification`, whose figures can be printed. What was fused goes to the logger
        `crossentropy`, and `fused(model)` tells it.

    Raises:
        ValueError: No head was found, or it is none that can be fused: the message says why.
        TypeError: The model is not an nn.Module.
        RuntimeError: With `verify`: the fused model computes something else.

    Examples:
        >>> import torch
        >>> from crossentropy import fuse, fused, unfuse
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
    heads = find(model, head, example)
    for name, module in heads.items():
        why = None if head is not None and multiplies(module) else refusal(module)
        if why is not None:
            raise ArgumentValueError(f"the head {name!r} of {type(model).__name__} cannot be fused: {why}")
    if verify is not None:
        return _verified(model, heads, verify, loss)
    for name in _apply(model, heads):
        _log.info("fused %s of %s", _described(name, heads[name]), type(model).__name__)
    return model


def _apply(model: nn.Module, heads: Mapping[str, nn.Module]) -> list[str]:
    """Fuse heads; the names of those that were not."""
    new = {name: module for name, module in heads.items() if not _is_fused(module)}
    for name, module in new.items():
        if multiplies(module):
            watch(model, name, module)
        else:
            set_class(module, fused_class(type(module)))
    return list(new)


def _is_fused(module: nn.Module) -> bool:
    return isinstance(module, FusedHead) or products_of(module) is not None


def _fused_in(model: nn.Module) -> dict[str, nn.Module]:
    return {name: module for name, module in model.named_modules() if _is_fused(module)}


def _described(name: str, module: nn.Module) -> Head:
    return Head(name, *(matrix(module) if multiplies(module) else sizes(module)))


def unfuse(model: _Model) -> _Model:
    """Restore what `fuse` changed.

    Args:
        model: A model, fused or not.

    Returns:
        The model, whose heads compute their logits.

    Raises:
        AttributeError: The model is no nn.Module.

    Examples:
        >>> import torch
        >>> from crossentropy import fuse, fused, unfuse
        >>> model = unfuse(fuse(torch.nn.Sequential(torch.nn.Linear(4, 10))))
        >>> type(model(torch.randn(2, 4))) is torch.Tensor
        True

    See Also:
        `fuse`; `fused`, which does both.
    """
    for module in model.modules():
        for products in {products_of(module), *products_around(module)}:
            if products is not None:
                products.remove()
        if isinstance(module, FusedHead):
            set_class(module, module.original)
    return model


class fused(ContextDecorator, Generic[_Model]):  # noqa: N801 (used as a function)
    """Fuse a model for a while; or tell what of it is fused.

        with fused(model):    print(fused(model))

    Args:
        model: The model.
        head: As for `fuse`.
        example: As for `fuse`.

    Returns:
        A context manager that gives the model. Heads that were fused before stay so after. Without `with` it changes
        nothing: `heads` are those that are fused now, each with its name, classes and in_features; it can be printed.

    Raises:
        ValueError: As `fuse`, where the context begins.

    Examples:
        >>> import torch
        >>> from crossentropy import fuse, fused, unfuse
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 10))
        >>> with fused(model):
        ...     type(model(torch.randn(2, 4))).__name__
        ...     print(fused(model))
        'LazyLogits'
        0 (10 classes of 4 features)
        >>> type(model(torch.randn(2, 4))).__name__
        'Tensor'

    See Also:
        `fuse`.
    """

    def __init__(self, model: _Model, head: Heads = None, *, example: Any = None) -> None:
        self._model, self._head, self._example = model, head, example
        self._before: dict[str, nn.Module] = {}

    @property
    def heads(self) -> tuple[Head, ...]:
        """The heads that are fused now."""
        return tuple(_described(name, module) for name, module in _fused_in(self._model).items())

    def __enter__(self) -> _Model:
        self._before = _fused_in(self._model)
        return fuse(self._model, self._head, example=self._example)

    def __exit__(self, *_: object) -> None:
        _restore(self._model, self._before)

    def __str__(self) -> str:
        return "\n".join(map(str, self.heads)) or "nothing is fused"


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
    model: nn.Module, heads: Mapping[str, nn.Module], batch: Any, loss: Callable[[Any], Tensor] | None
) -> Verification:
    before = _fused_in(model)
    unfuse(model)
    try:
        plain = _losses(model, batch, loss)
        _apply(model, {**before, **heads})
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


def _restore(model: nn.Module, before: Mapping[str, nn.Module]) -> None:
    """Leave those heads fused that were."""
    unfuse(model)
    _apply(model, before)


def _losses(
    model: nn.Module, batch: Any, loss: Callable[[Any], Tensor] | None
) -> tuple[Tensor, tuple[Tensor | None, ...]]:
    with undisturbed(model), torch.enable_grad():
        output = call(model, batch)
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
    for leaf in leaves(output):
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
