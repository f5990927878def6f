"""`LazyLogits`: a tensor that stands for logits and computes them only if somebody looks.

It has the shape, dtype, device, strides and gradient of the logits. Every function of torch that meets it comes to
`__torch_function__`, which knows three kinds:

    keeps     the result is lazy again: views, casts, slices, scale, cap, softmax          (see _derivations)
    fuses     the result follows from hidden states and head: losses, statistics           (see _losses, _consumers)
    the rest  computes the logits once, remembers them, and calls the function with them

What reaches torch from beneath Python (a custom autograd function, say) finds an ordinary node of the graph, whose
backward multiplies what comes by the head; so no gradient is lost, whichever way was taken.

An operation in place computes the logits of the first of its views, and all other views of the same follow.
"""

import functools
import inspect
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from crossentropy import _contract as contract
from crossentropy import _torch
from crossentropy._sharding import is_distributed
from crossentropy._tensors import check_linear
from crossentropy.lazy._expression import Expression
from crossentropy.lazy._hooks import Hooks, orders_communication, passes_on
from crossentropy.lazy._parts import Part

Handler = Callable[..., Any]
_Function = Callable[..., Any]

HANDLERS: dict[_Function, Handler] = {}
"""What keeps or fuses, by torch's function. A handler gives NotImplemented for arguments that are not for it."""

_log = logging.getLogger("crossentropy.lazy")
_observers: list[list["Event"]] = []


def implements(*functions: _Function) -> Callable[[Handler], Handler]:
    """Register a handler for functions of torch."""

    def register(handler: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(functions, handler))
        return handler

    return register


@dataclass(frozen=True)
class Event:
    """A use of lazy logits that gave numbers."""

    operation: str
    """Name of torch's function."""
    where: str
    """File and line that called it."""
    fused: bool
    """Whether it was computed without the logits."""
    shape: tuple[int, ...]
    """That of the logits."""

    def __str__(self) -> str:
        return f"{self.operation} at {self.where}: {'fused' if self.fused else f'needed {list(self.shape)} logits'}"


@dataclass(frozen=True)
class History:
    """What became of lazy logits and of all that was derived from them."""

    events: tuple[Event, ...]

    @property
    def materialized(self) -> tuple[Event, ...]:
        """The uses that needed the logits."""
        return tuple(event for event in self.events if not event.fused)

    def __str__(self) -> str:
        return "\n".join(map(str, self.events)) or "not used yet"

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, as JSON can hold them."""
        return asdict(self)


@contextmanager
def observe() -> Iterator[list[Event]]:
    """Collect the events of all lazy logits."""
    events: list[Event] = []
    _observers.append(events)
    try:
        yield events
    finally:
        _observers[:] = [observer for observer in _observers if observer is not events]


@dataclass
class _Family:
    """What lazy logits and their views share."""

    watched: str = ""
    """What was asked to watch the gradient of their values."""
    computed: list[tuple[Tensor, int]] = field(default_factory=list)
    """Their values, and how often these had been changed in place when they were new."""

    @property
    def beyond(self) -> str:
        """What was done to their values that their nodes in the graph know nothing of."""
        return "changed in place" if any(_torch.version(x) != version for x, version in self.computed) else self.watched


class LazyLogits(Tensor):
    """Logits hidden @ weight.T + bias that are not computed until they must be.

        z = hidden Wᵀ + b

    A tensor like any other. Losses and statistics of it are computed from hidden states and head, in chunks; views,
    casts, slices, a scale, a softcap and softmax stay lazy; everything else computes the logits, once.
    `crossentropy.lazy.explain` tells what happened.

    Args:
        hidden: Hidden states (…, D).
        weight: Head (C, D).
        bias: Bias (C). Default: none.

    Returns:
        Logits (…, C) in the promoted dtype of hidden states and head, under autocast in autocast's.

    Raises:
        ValueError: Shapes or devices do not fit together.
        TypeError: Not floating tensors.

    Examples:
        >>> import torch
        >>> from crossentropy.lazy import LazyLogits, explain
        >>> hidden, head = torch.randn(8, 16), torch.randn(1000, 16, requires_grad=True)
        >>> logits = LazyLogits(hidden, head)
        >>> logits.shape, logits.requires_grad
        (torch.Size([8, 1000]), True)
        >>> loss = torch.nn.functional.cross_entropy(logits, torch.arange(8))
        >>> print(explain(logits).events[0].operation, explain(logits).materialized)
        cross_entropy ()

    See Also:
        `crossentropy.fuse`, which lets a model return them; `crossentropy.functional.linear_cross_entropy`.
    """

    _expression: Expression
    _parent: "tuple[LazyLogits, Callable[[Tensor], Tensor]] | None"
    _logits: Tensor | None
    _view: tuple[Tensor, Tensor] | None
    """The parent's values, and these as a view of them."""
    _used: bool
    """Whether something was derived from these that does not depend on their node."""
    _events: list[Event]
    _node: Any
    """Its node in the graph as it was made. A custom autograd function that returns lazy logits gives them another."""
    _viewed: bool
    """Whether views were made of these, which changes in place must reach."""
    _revealed: tuple[Any, Tensor] | None
    """That other node, and the logits as a function of it."""
    _family: "_Family"
    _hooks: Hooks

    @staticmethod
    @_torch.not_compiled("lazy logits")
    def __new__(cls: "type[LazyLogits]", hidden: Tensor, weight: Tensor, bias: Tensor | None = None) -> "LazyLogits":
        return logits_of(hidden, weight, bias)  # pyright: ignore[reportReturnType]

    @classmethod
    @_torch.not_compiled("a function of lazy logits")
    def __torch_function__(
        cls, func: _Function, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        given = args, kwargs
        if not args and "input" in kwargs:
            args, kwargs = (kwargs["input"],), {name: value for name, value in kwargs.items() if name != "input"}
        if func in _PASSIVE and not args[0]._known():
            with _torch.without_overrides():
                return func(*args, **kwargs)
        if func is Tensor.register_hook and orders_communication(hook := (*args, *kwargs.values())[1]):
            return args[0]._hooks.add_repeated(hook)
        handler = HANDLERS.get(func)
        if handler is not None:
            inner_args, inner_kwargs = _torch.map_only(LazyLogits, LazyLogits._beneath, (args, kwargs))
            if _fits(handler, func, inner_args, inner_kwargs):
                found = handler(func, *inner_args, **inner_kwargs)
                if found is not NotImplemented:
                    return _followed(found, _lazy(inner_args, inner_kwargs))
        return _materialized(func, *given)

    @classmethod
    @_torch.not_compiled("a function of lazy logits")
    def __torch_dispatch__(
        cls, func: _Function, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        _refuse(func, args)
        dense_args, dense_kwargs = _torch.map_only(LazyLogits, lambda z: z._dense(func).detach(), (args, kwargs or {}))
        return func(*dense_args, **dense_kwargs)

    def _dense(self, func: _Function | str) -> Tensor:
        """The logits, which are computed once; `func` wants them."""
        values, node = self._computed(func), self._current_node()
        if node is self._node:
            return values
        if self._revealed is None or self._revealed[0] is not node:
            self._revealed = node, _Reveal.apply(self, [values.detach()])
        return self._revealed[1]

    def _computed(self, func: _Function | str) -> Tensor:
        """The logits as they are without a custom autograd function. As a view where what they view exists."""
        of = self._view_of()
        if of is not None and of[0]._known():
            parent, view = of
            whole = parent._dense(func)
            if self._view is None or self._view[0] is not whole:
                with torch.set_grad_enabled(self._node is not None):
                    values = view(whole)
                self._view = whole, values if self._node is not None else values.detach()
                _call_at(self._view[1], self._hooks)
            return self._view[1]
        if self._logits is None:
            self.record(func, fused=False)
            # looked at without gradients first, they may be needed with gradients next; and a checkpoint that runs this
            # again, when they are there, must not miss what they saved
            hooks = _NO_HOOKS() if _torch.transform() is None else nullcontext()
            with torch.inference_mode(False), torch.set_grad_enabled(self._node is not None), hooks:
                self._logits = self._expression.dense()
            _follow(self._logits, self)
            if not self._logits.is_inference():
                self._family.computed.append((self._logits, _torch.version(self._logits)))
        return self._logits

    def _known(self) -> bool:
        """Whether the logits, or those that these are a view of, exist already."""
        of = self._view_of()
        return self._logits is not None or (of is not None and of[0]._known())

    def _view_of(self) -> "tuple[LazyLogits, Callable[[Tensor], Tensor]] | None":
        """What these are a view of, unless that was detached in place since, and would give them no gradient."""
        detached = self._parent is not None and self._node is not None and self._parent[0]._node is None
        return None if detached else self._parent

    def _current_node(self) -> Any:
        """The node in the graph: a custom autograd function may have given one, through which gradients must go."""
        with _torch.without_overrides():
            return self.grad_fn

    def _beneath(self) -> "LazyLogits":
        """The same under a node that only passes gradients on."""
        node = self._current_node()
        if node is self._node or self._known() or not passes_on(node):
            return self
        below = node.next_functions[self.output_nr][0]
        if getattr(below, "_forward_cls", None) not in (_Stand, _Changed):
            return self
        found = _stand_for(below.expression, None, self._events)
        found._hooks.add(lambda gradient: node._forward_cls.backward(node, gradient))
        found._hooks.follow(below.hooks)
        return found

    def _first(self) -> "LazyLogits":
        of = self._view_of()
        return self if of is None else of[0]._first()

    def record(self, func: _Function | str, *, fused: bool) -> None:
        """Note a use of these logits."""
        name = func if isinstance(func, str) else torch.overrides.resolve_name(func) or getattr(func, "__name__", "?")
        event = Event(name.removeprefix("torch.").removeprefix("nn.functional."), _where(), fused, tuple(self.shape))
        self._events.append(event)
        for observer in _observers:
            observer.append(event)
        self._used = self._used or fused
        _log.debug("%s", event)


class SpreadLogits(LazyLogits):
    """Lazy logits that stand for a DTensor, whose classes are spread over the ranks of a mesh."""

    @property
    def _part(self) -> Part:
        part = self._expression.part
        assert part is not None
        return part

    @property
    def device_mesh(self) -> Any:
        """The mesh."""
        return self._part.mesh

    @property
    def placements(self) -> tuple[Any, ...]:
        """Cut along the classes; as they lie, once they were computed."""
        class_dim = self._expression.class_dim
        if self._known() or class_dim is None:
            dense: Any = self._dense("placements")
            return dense.placements
        return self._part.placements(class_dim)

    def to_local(self, *, grad_placements: Any = None) -> Tensor:
        """This rank's part, lazily too."""
        expression = None if grad_placements is not None or self._known() else self._expression.local()
        if expression is not None:
            return _followed(derive(self, expression), [self])
        dense: Any = self._dense("to_local")
        return dense.to_local(grad_placements=grad_placements)

    def redistribute(self, device_mesh: Any = None, placements: Any = None, **kwargs: Any) -> Tensor:
        """Placed in another way, for which they are computed."""
        class_dim = self._expression.class_dim
        here = (
            [] if class_dim is None else [self._part.placements(axis) for axis in (class_dim, class_dim - self.dim())]
        )
        if device_mesh in (None, self.device_mesh) and placements is not None and tuple(placements) in here:
            return self
        dense: Any = self._dense(f"redistribute to {placements}, by which each rank has logits of other ranks,")
        return dense.redistribute(device_mesh, placements, **kwargs)

    def full_tensor(self, **kwargs: Any) -> Tensor:
        """All of them, which are computed, on each rank."""
        dense: Any = self._dense("full_tensor")
        return dense.full_tensor(**kwargs)

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return repr(self._dense("__repr__"))


def explain(logits: Tensor) -> History:
    """Tell what was computed of lazy logits: which uses were fused, and which needed the logits, with file and line.

    Args:
        logits: `LazyLogits`, or any tensor.

    Returns:
        `History(events)`; `print` it. Of an ordinary tensor it is empty.

    Raises:
        TypeError: Not a tensor; a model's output, say, which has the logits.

    Examples:
        >>> import torch
        >>> from crossentropy.lazy import LazyLogits, explain
        >>> logits = LazyLogits(torch.randn(2, 4), torch.randn(10, 4))
        >>> deviation = logits.std()
        >>> explain(logits).materialized[0].operation
        'Tensor.std'

    See Also:
        `crossentropy.fuse`.
    """
    if not isinstance(logits, Tensor):
        raise contract.ArgumentTypeError(f"logits is {type(logits).__name__}, expected a tensor (output.logits?)")
    return History(tuple(logits._events) if isinstance(logits, LazyLogits) else ())


# --- making them --------------------------------------------------------------------------------------------------


def logits_of(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    sources: tuple[Tensor, ...] = (),
    part: Part | None = None,
    class_dim: int = -1,
    contiguous: bool = False,
) -> Tensor:
    """Lazy logits of hidden states and a head, which may be local copies of parameters, its sources.

    Their classes are the last axis or another, and then contiguous if their rows are not.
    """
    check_linear(hidden, weight, bias, names=("hidden", "weight", "bias"))
    if weight.dim() != 2:
        raise contract.ArgumentValueError(f"weight has shape {tuple(weight.shape)}, expected (C, D)")
    tensors = [x for x in (hidden, weight, bias) if x is not None]
    if len({x.dtype for x in tensors}) > 1 and not torch.is_autocast_enabled(hidden.device.type):
        raise contract.ArgumentTypeError(f"tensors are {', '.join(str(x.dtype) for x in tensors)}: convert them")
    if len({x.device for x in tensors}) > 1:
        raise contract.ArgumentValueError(f"tensors are on {', '.join(str(x.device) for x in tensors)}: move them")
    if any(map(is_distributed, tensors)):
        raise contract.ArgumentTypeError(
            "LazyLogits of DTensors: use linear_cross_entropy(hidden, weight, target), which takes them, or gather "
            "them with full_tensor()"
        )
    if not _torch.CAN_BE_LAZY:
        z = torch.nn.functional.linear(hidden, weight, bias).movedim(-1, class_dim)
        return z.contiguous() if contiguous else z
    return _stand_for(Expression.of(hidden, weight, bias, sources, part, class_dim, contiguous))


class _Stand(torch.autograd.Function):
    """The node of lazy logits in the graph: forward computes nothing, backward what the logits would give."""

    @staticmethod
    def forward(ctx: Any, expression: Expression, *tensors: Tensor) -> Tensor:
        ctx.expression = expression
        return _wrap(expression)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return (None, *_gradients(ctx, gradients, ctx.needs_input_grad[1:]))


def _gradients(ctx: Any, gradients: tuple[Tensor, ...], needed: tuple[bool, ...]) -> tuple[Tensor | None, ...]:
    """Of the tensors that lazy logits depend on."""
    ctx.hooks(gradients)
    create_graph = torch.is_grad_enabled()
    if ctx.family.beyond:
        raise RuntimeError(
            f"lazy logits were used by a custom autograd function, and {ctx.family.beyond}: give it `logits + 0` "
            f"instead"
        )
    with torch.enable_grad():
        # the head's weight may be that of an embedding, beneath hidden states
        expression = ctx.expression.of_views()
        wanted = [x for x, want in zip(expression.inputs, needed) if want]
        found = iter(torch.autograd.grad(expression.dense(), wanted, gradients[0], create_graph=create_graph))
    return tuple(next(found) if want else None for want in needed)


class _Changed(_Stand):
    """The node of lazy logits that were changed in place."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, expression: Expression, *tensors: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.mark_dirty(logits)
        ctx.expression = expression
        return logits

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return (None, None, *_gradients(ctx, gradients, ctx.needs_input_grad[2:]))


class _Reveal(torch.autograd.Function):
    """The values of lazy logits as a function of them."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, values: list[Tensor]) -> Tensor:
        return values[0]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return gradients[0], None


def _wrap(expression: Expression) -> Tensor:
    """A wrapper tensor without memory."""
    twin = expression.twin
    strides = torch.empty(twin.shape, device="meta").stride() if expression.contiguous else twin.stride()
    spread = expression.part is not None and expression.part.spread
    return _torch.make_wrapper(
        SpreadLogits if spread else LazyLogits,
        twin.shape,
        strides=strides,
        dtype=expression.dtype,
        device=expression.hidden.device,
    )


def _stand_for(
    expression: Expression,
    parent: "tuple[LazyLogits, Callable[[Tensor], Tensor]] | None" = None,
    events: list[Event] | None = None,
) -> LazyLogits:
    if torch.is_grad_enabled() and any(x.requires_grad for x in expression.inputs):
        stand = _Stand.apply(expression, *expression.inputs)
    else:
        expression = expression.detached()
        stand = _wrap(expression)
    assert isinstance(stand, LazyLogits)
    stand._expression, stand._parent, stand._logits, stand._view, stand._used = expression, parent, None, None, False
    stand._revealed, stand._family = None, _Family() if parent is None else parent[0]._family
    stand._viewed = False
    stand._events, stand._hooks = [] if events is None else events, Hooks()
    _note_node(stand)
    return stand


def _note_node(stand: LazyLogits) -> None:
    """Remember the node of lazy logits, which knows them too."""
    with _torch.without_overrides():
        stand._node = stand.grad_fn
        if stand._node is not None:
            stand._node.family, stand._node.hooks = stand._family, stand._hooks


def derive(logits: LazyLogits, expression: Expression, view: Callable[[Tensor], Tensor] | None = None) -> LazyLogits:
    """Lazy logits that follow from others; as a view of them, if `view` is what makes them."""
    logits._used = True
    logits._viewed = logits._viewed or view is not None
    return _stand_for(expression, None if view is None else (logits, view), logits._events)


def become(logits: LazyLogits, expression: Expression) -> Any:
    """Change lazy logits in place; NotImplemented where others share their memory, or their gradient is another's."""
    hidden_change = logits._node is not None and not torch.is_grad_enabled()
    if logits._parent is not None or logits._viewed or hidden_change or torch.is_inference_mode_enabled():
        return NotImplemented
    if torch.is_grad_enabled() and any(x.requires_grad for x in expression.inputs):
        logits._used = False  # what was derived before has another node
        with _torch.without_overrides():
            _Changed.apply(logits, expression, *expression.inputs)
        logits._expression = expression
        _note_node(logits)
    else:
        logits._expression = expression.detached()
    return logits


def _followed(found: Any, lazy: list[LazyLogits]) -> Any:
    """What was made of lazy logits, which calls their hooks when a gradient comes to it."""
    for x in _torch.leaves(found):
        if isinstance(x, Tensor) and not any(x is z for z in lazy):
            _follow(x, *lazy)
    return found


def _follow(x: Tensor, *lazy: LazyLogits) -> None:
    for z in lazy:
        if isinstance(x, LazyLogits):
            x._hooks.follow(z._hooks)
        else:
            # a change of a view in place gives it another node; what it views keeps its own beneath
            _call_at(_torch.viewed(x), z._hooks)


def _call_at(x: Tensor, hooks: Hooks) -> None:
    """Call hooks when a gradient comes to a tensor."""
    if x.grad_fn is not None:
        x.grad_fn.register_prehook(hooks)


# --- computing them -----------------------------------------------------------------------------------------------


def _materialized(func: _Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a function with the logits."""
    name = getattr(func, "__name__", "")
    _refuse(func, args)
    target = args[0] if args and isinstance(args[0], LazyLogits) and _in_place(func, args, kwargs) else None
    for z in (target, kwargs.get("out"), args[0] if args and name in _SHARING else None):
        if isinstance(z, LazyLogits):
            z._first()._dense(func)  # this and its other views are views of that from now on
    if name in _LATE and args and isinstance(args[0], LazyLogits):
        args[0]._family.watched = f"given to {name}"
    target = kwargs.get("out") if target is None else target
    dense_args, dense_kwargs = _torch.map_only(LazyLogits, lambda z: z._dense(func), (args, kwargs))
    result = func(*dense_args, **dense_kwargs)
    for z in _lazy(args, kwargs):
        of = z._view_of()
        if of is not None and not of[0]._known() and _shares_memory(result, z._dense(func)):
            z._first()._dense(func)
            return _materialized(func, args, kwargs)
    return target if isinstance(target, LazyLogits) and isinstance(result, Tensor) else result


def _lazy(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[LazyLogits]:
    """Lazy logits among arguments, and in sequences among them."""
    found = []
    for x in (*args, *kwargs.values()):
        if isinstance(x, LazyLogits):
            found.append(x)
        elif isinstance(x, (tuple, list)):
            found += _lazy(tuple(x), {})
    return found


def _shares_memory(result: Any, values: Tensor) -> bool:
    if is_distributed(values):
        return any(map(is_distributed, _torch.leaves(result)))  # whose memory is not theirs: it may be
    storage = values.untyped_storage().data_ptr()
    return any(isinstance(x, Tensor) and x.untyped_storage().data_ptr() == storage for x in _torch.leaves(result))


def _in_place(func: _Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    name = getattr(func, "__name__", "")
    if (name.endswith("_") and not name.endswith("__")) or name in _IN_PLACE:
        return True
    bound = _bound(func, args, kwargs)
    return bool(bound is not None and bound.get("inplace"))


def _refuse(func: _Function, args: tuple[Any, ...]) -> None:
    """Raise for what a tensor that stands for another cannot do."""
    name = "data" if func == Tensor.data.__set__ else getattr(func, "__name__", "").partition(".")[0]  # pyright: ignore[reportAttributeAccessIssue]
    lazy = [z for z in _torch.leaves(args) if isinstance(z, LazyLogits)]
    if name in _INSTEAD and args and isinstance(args[0], LazyLogits):
        change = "memory" if name in ("data", "set_") else "shape"
        raise RuntimeError(f"{name} would change the {change} of lazy logits in place: use {_INSTEAD[name]}")
    if name in _LATE and lazy and lazy[0]._used:
        raise RuntimeError(
            f"{name} comes after lazy logits were used, which were not computed and get no gradient: call it first"
        )
    if name == "grad" and any(
        isinstance(z, LazyLogits) and (z._used or not z._known()) for z in _torch.leaves(args[1:2])
    ):
        raise RuntimeError(
            "a gradient is wanted with respect to lazy logits that were used before they were computed: call "
            "`logits.retain_grad()` first, or differentiate with respect to hidden states and head"
        )


@functools.lru_cache(1024)
def _signature(function: _Function) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None


def _bound(function: _Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any] | None:
    """Arguments by name, if they fit a function whose signature is known."""
    signature = _signature(function)
    try:
        return None if signature is None else signature.bind(*args, **kwargs).arguments
    except TypeError:
        return None


def _fits(handler: Handler, func: _Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a handler is for a call: not in a transform, not for logits that exist, not for other arguments."""
    return (
        kwargs.get("out") is None
        and not _torch.forward_mode()
        and _torch.transform() is None
        and not any(z._known() or z._current_node() is not z._node for z in _lazy(args, kwargs))
        and _bound(handler, (func, *args), kwargs) is not None
    )


# detached, because a saved result that holds its own node would never be freed; unpacking gives it back its node
_NO_HOOKS = functools.partial(torch.autograd.graph.saved_tensors_hooks, Tensor.detach, lambda x: x)

_OPERATORS = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor", "lshift", "rshift")
_INSTEAD = {
    **{name: name[:-1] for name in ("t_", "transpose_", "swapaxes_", "swapdims_", "squeeze_", "unsqueeze_")},
    "resize_": "reshape",
    "data": "logits.copy_(x), or logits = x",
    "set_": "logits.copy_(x), or logits = x",
}
"""What does the same as an operation that lazy logits cannot do in place."""
_LATE = {"retain_grad", "register_hook", "register_post_accumulate_grad_hook"}
"""What must come before the logits are used."""
_SHARING = {"numpy", "__array__", "__dlpack__", "data_ptr", "untyped_storage", "storage", "share_memory_"}
"""What gives others a way to the memory."""
_IN_PLACE = {"__setitem__", "__set__", "__idiv__", *(f"__i{name}__" for name in _OPERATORS)}

_METHODS = (
    *("size", "dim", "numel", "nelement", "ndimension", "stride", "is_contiguous", "element_size"),
    *("is_floating_point", "is_complex", "is_signed", "is_inference", "get_device", "__len__", "__hash__"),
)
_PROPERTIES = (
    *("shape", "dtype", "device", "layout", "ndim", "itemsize", "nbytes", "requires_grad", "is_leaf", "grad_fn"),
    *("output_nr", "is_cuda", "is_cpu", "is_meta", "is_xpu", "is_mps", "is_mkldnn", "is_sparse"),
    *("is_sparse_csr", "is_quantized", "is_nested"),
)
_PASSIVE = {
    *(getattr(Tensor, name) for name in _METHODS),
    *_torch.METHODS,
    *(x.__get__ for x in (*(getattr(Tensor, name) for name in _PROPERTIES), *_torch.PROPERTIES)),
    *(torch.is_floating_point, torch.is_complex, torch.is_inference, torch.numel),
}
"""What asks for no values."""


def _where() -> str:
    """File and line that called torch: the innermost frame outside of torch and of this package."""
    frame = sys._getframe(1)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.partition(".")[0] not in {"torch", "crossentropy"}:
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
        frame = frame.f_back
    return "?"
