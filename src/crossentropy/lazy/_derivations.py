"""What keeps logits lazy: functions of torch whose result is an expression again.

views and selections of rows · casts and copies · scale, cap, bias · log_softmax, softmax, their product

A handler takes the arguments of torch's function, and gives NotImplemented where only the logits will do: then torch
itself answers, with its own errors.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from crossentropy import _contract as contract
from crossentropy import _torch, functional
from crossentropy.lazy._expression import Expression
from crossentropy.lazy._tensor import LazyLogits, SpreadLogits, derive, implements


def methods(*names: str) -> tuple[Callable[..., Any], ...]:
    """Functions and methods of torch of these names."""
    return tuple(getattr(place, name) for name in names for place in (torch, Tensor) if hasattr(place, name))


def getter(name: str) -> Callable[..., Any]:
    """What torch calls for an attribute."""
    return getattr(Tensor, name).__get__


def tidy(keywords: dict[str, Any], *known: str) -> bool:
    """Whether no keyword is given but for the known ones."""
    return not any(value is not None and name not in known for name, value in keywords.items())


# --- views and rows -----------------------------------------------------------------------------------------------

_VIEWS = methods(
    *("view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "transpose", "swapaxes", "swapdims", "t"),
    *("movedim", "moveaxis", "permute", "select", "narrow", "expand", "expand_as", "view_as", "reshape_as"),
)
_RESHAPES = methods("reshape", "flatten", "reshape_as")
_DETACHED = (Tensor.detach, torch.detach, getter("data"))
_PIECES = methods("chunk", "split", "tensor_split", "unbind", "hsplit", "vsplit", "dsplit", "split_with_sizes")


@implements(*_VIEWS, getter("mT"), getter("T"), *_DETACHED)
def _view(func: Any, z: Any, *args: Any, **kwargs: Any) -> Any:
    others = (*args, *kwargs.values())
    if not isinstance(z, LazyLogits) or any(isinstance(x, (LazyLogits, torch.dtype)) for x in others):
        return NotImplemented
    if func in _DETACHED:
        return derive(z, z._expression.detached(), Tensor.detach)
    found = viewed(z, lambda x: func(x, *args, **kwargs))
    if found is NotImplemented and func in _RESHAPES:
        return _reshaped(z, lambda x: func(x, *args, **kwargs))
    return found


def viewed(z: LazyLogits, view: Callable[[Tensor], Any]) -> Any:
    """Lazy logits under a view, which is given the logits or their twin."""
    expression = z._expression.viewed(view)
    if expression is None:
        return NotImplemented
    return z if expression.twin is z._expression.twin else derive(z, expression, view)


def _reshaped(z: LazyLogits, reshape: Callable[[Tensor], Any]) -> Any:
    """A copy in another shape, which only rows that are not contiguous need."""
    e = z._expression
    try:
        twin = reshape(e.twin)
    except (RuntimeError, IndexError, TypeError, ValueError):
        return NotImplemented
    copied = isinstance(twin, Tensor) and twin.untyped_storage() is not e.twin.untyped_storage()
    if not copied or e.class_dim != z.dim() - 1 or twin.shape[-1:] != z.shape[-1:]:
        return NotImplemented
    rows = e.rows()
    return derive(z, e.of_rows(rows.reshape(*twin.shape[:-1], rows.shape[-1]), twin.dim() - 1))


@implements(*_PIECES, Tensor.__iter__)
def _pieces(func: Any, z: Any, *args: Any, **kwargs: Any) -> Any:
    if not isinstance(z, LazyLogits):
        return NotImplemented
    func = Tensor.unbind if func is Tensor.__iter__ else func
    try:
        count = len(func(z._expression.twin, *args, **kwargs))
    except (RuntimeError, IndexError, TypeError, ValueError):
        return NotImplemented
    found = tuple(viewed(z, lambda x, i=i: func(x, *args, **kwargs)[i]) for i in range(count))
    return NotImplemented if NotImplemented in [x for x in found if not isinstance(x, Tensor)] else found


@implements(torch.cat, torch.concat, torch.concatenate, torch.stack)
def _join(func: Any, tensors: Any, dim: int = 0, **kwargs: Any) -> Any:
    first = tensors[0] if len(tensors) else None
    if not tidy(kwargs) or not isinstance(first, LazyLogits):
        return NotImplemented
    if not all(isinstance(z, LazyLogits) and _alike(first._expression, z._expression) for z in tensors):
        return NotImplemented
    class_dim = first._expression.class_dim
    assert class_dim is not None
    dim += first.dim() + (func is torch.stack) if dim < 0 else 0
    if func is not torch.stack and dim == class_dim:
        return NotImplemented
    joined = func([z._expression.laid_out() for z in tensors], dim)
    return derive(first, first._expression.of_rows(joined, class_dim + (func is torch.stack and dim <= class_dim)))


def _alike(a: Expression, b: Expression) -> bool:
    """Whether two expressions differ in their rows only."""
    return (
        a.class_dim is not None
        and a.class_dim == b.class_dim
        and a.steps == b.steps
        and a.kind == b.kind
        and a.part == b.part
        and all(x is y or (x is not None and y is not None and _same_view(x, y)) for x, y in zip(a.head(), b.head()))
        and (a.scale, a.softcap, a.dtype, a.product) == (b.scale, b.softcap, b.dtype, b.product)
    )


def _same_view(x: Tensor, y: Tensor) -> bool:
    same = x.data_ptr() == y.data_ptr() and x.dtype == y.dtype and x.shape == y.shape and x.stride() == y.stride()
    return same and x.requires_grad == y.requires_grad and (x.grad_fn is None) == (y.grad_fn is None)


def _axis(z: LazyLogits, dim: Any) -> int | None:
    return dim % z.dim() if isinstance(dim, int) and -z.dim() <= dim < z.dim() else None


def on_rows(z: LazyLogits, dim: Any) -> bool:
    """Whether `dim` is an axis of rows."""
    axis = _axis(z, dim)
    return axis is not None and z._expression.class_dim is not None and axis != z._expression.class_dim


def on_all_classes(z: Any, dim: Any) -> bool:
    """Whether `dim` is the class axis, and this rank has all classes."""
    return on_classes(z, dim) and z._expression.part is None


def on_classes(z: Any, dim: Any) -> bool:
    """Whether `dim`, perhaps in a sequence of one, is the class axis."""
    if not isinstance(z, LazyLogits):
        return False
    if isinstance(dim, (tuple, list)) and len(dim) == 1:
        dim = dim[0]
    axis = _axis(z, dim)
    return axis is not None and axis == z._expression.class_dim


@implements(Tensor.detach_)
def _detached_in_place(func: Any, z: LazyLogits) -> Any:
    with _torch.without_overrides(), _torch.without_dispatch():
        func(z)
    z._expression, z._node = z._expression.detached(), None
    return z


# --- casts and copies ---------------------------------------------------------------------------------------------


@implements(Tensor.float, Tensor.double, Tensor.half, Tensor.bfloat16)
def _cast(func: Any, z: Any, **kwargs: Any) -> Any:
    dtypes = {"float": torch.float32, "double": torch.float64, "half": torch.float16, "bfloat16": torch.bfloat16}
    return _to_dtype(z, dtypes[func.__name__]) if tidy(kwargs) else NotImplemented


@implements(Tensor.type)
def _type(func: Any, z: LazyLogits, dtype: Any = None, **kwargs: Any) -> Any:
    if dtype is None and not kwargs:
        return torch.empty(0, dtype=z.dtype, device=z.device).type()
    return _to_dtype(z, dtype) if isinstance(dtype, torch.dtype) and not kwargs else NotImplemented


@implements(Tensor.to)
def _to(func: Any, z: Any, *args: Any, copy: bool = False, **kwargs: Any) -> Any:
    if not isinstance(z, LazyLogits) or any(isinstance(x, LazyLogits) for x in args):
        return NotImplemented
    try:
        device, dtype, _, memory_format = _torch.parse_to(*args, **kwargs)
    except (RuntimeError, TypeError):
        return NotImplemented
    if memory_format is not None:
        return NotImplemented
    if device is not None and torch.device(device).type == "meta":
        return _without_values(z, dtype or z.dtype)
    if device is not None and torch.device(device) != z.device:
        return NotImplemented
    return _to_dtype(z, dtype or z.dtype, copy=copy)


def _without_values(z: LazyLogits, dtype: torch.dtype) -> Tensor:
    """Logits on the meta device. They need a gradient as torch's do, which ends there: it has no values either."""
    shape = torch.empty_like(torch.empty_strided(z.shape, z.stride(), dtype=dtype, device="meta"))
    needed = z.requires_grad and torch.is_grad_enabled() and dtype.is_floating_point
    return shape.requires_grad_().clone() if needed else shape


def _to_dtype(z: Any, dtype: torch.dtype, *, copy: bool = False) -> Any:
    if not isinstance(z, LazyLogits) or not dtype.is_floating_point:
        return NotImplemented
    if dtype == z.dtype and not copy:
        return z
    return derive(z, z._expression.then(Tensor.to, dtype, False, True, dtype=dtype))


@implements(*methods("clone"), Tensor.contiguous)
def _copied(func: Any, z: Any, *, memory_format: torch.memory_format | None = None) -> Any:
    e = z._expression
    if memory_format not in (None, torch.contiguous_format, torch.preserve_format) or e.class_dim is None:
        return NotImplemented
    if func is Tensor.contiguous and z.is_contiguous():
        return z
    if e.class_dim == z.dim() - 1:
        return derive(z, e.of_rows(e.rows(), e.class_dim))
    copied = e.then(torch.clone)
    if func is Tensor.contiguous or memory_format is torch.contiguous_format:
        copied = replace(copied, contiguous=True)
    return derive(z, copied)


@implements(torch.zeros_like, torch.ones_like, torch.full_like, torch.empty_like)
def _like(func: Any, z: Any, *args: Any, **kwargs: Any) -> Any:
    if not isinstance(z, LazyLogits) or isinstance(z, SpreadLogits) or z._expression.contiguous:
        return NotImplemented
    return func(torch.empty_strided(z.shape, z.stride(), dtype=z.dtype, device=z.device), *args, **kwargs)


@implements(Tensor.storage_offset)
def _storage_offset(func: Any, z: LazyLogits) -> Any:
    return NotImplemented if z._expression.contiguous else z._expression.twin.storage_offset()


@implements(Tensor.cpu)
def _cpu(func: Any, z: LazyLogits) -> Any:
    return z if z.device.type == "cpu" else NotImplemented


@implements(Tensor.type_as)
def _type_as(func: Any, z: Any, other: Tensor) -> Any:
    return _to_dtype(z, other.dtype) if other.device == getattr(z, "device", None) else NotImplemented


@implements(
    Tensor.new_tensor, Tensor.new_zeros, Tensor.new_ones, Tensor.new_full, Tensor.new_empty, Tensor.new_empty_strided
)
def _new(func: Any, z: Any, *args: Any, **kwargs: Any) -> Any:
    if not isinstance(z, LazyLogits) or isinstance(z, SpreadLogits):
        return NotImplemented
    return func(torch.empty(0, dtype=z.dtype, device=z.device), *args, **kwargs)


# --- scale, cap, bias ---------------------------------------------------------------------------------------------

_MULTIPLICATIONS = {*methods("mul", "multiply"), Tensor.__mul__, Tensor.__rmul__}
_DIVISIONS = {*methods("div", "divide", "true_divide"), Tensor.__truediv__}


@implements(*_MULTIPLICATIONS, *_DIVISIONS)
def _scaled(func: Any, z: Any, other: Any, **kwargs: Any) -> Any:
    if kwargs:
        return NotImplemented
    if func in _MULTIPLICATIONS and isinstance(z, LazyLogits) and isinstance(other, LazyLogits):
        return _energy(z, other)
    if func in _MULTIPLICATIONS and isinstance(other, LazyLogits):
        z, other = other, z
    if not isinstance(z, LazyLogits) or isinstance(other, LazyLogits) or z._expression.kind != "logits":
        return NotImplemented
    e, by = z._expression, torch.mul if func in _MULTIPLICATIONS else torch.div
    if isinstance(other, Tensor) and (other.requires_grad or other.device.type != "cpu"):
        return _scaled_by_tensor(z, other, by)
    factor = _number(other) if not isinstance(other, Tensor) or other.dim() <= z.dim() else None
    if factor is None or (by is torch.div and factor == 0.0):
        return NotImplemented
    factor = factor if by is torch.mul else 1.0 / factor
    if e.softcap is not None:  # k c tanh(s x / c) has the cap k c and the scale k s
        if factor <= 0.0 or not math.isfinite(factor):
            return NotImplemented
        changes = {"softcap": e.softcap * factor, "scale": e.scale * factor}
    else:
        changes = {"scale": e.scale * factor}
    if not 1e-18 < abs(e.scale * factor) < 1e18:
        return NotImplemented
    other = other.clone() if isinstance(other, Tensor) else other
    return derive(z, e.then(by, other, dtype=promoted(z, other), **changes))


def _scaled_by_tensor(z: LazyLogits, other: Tensor, by: Callable[..., Tensor]) -> Any:
    """Scaled by a tensor whose value may not be read, or has a gradient: the hidden states are scaled instead."""
    e = z._expression
    if other.numel() != 1 or not other.is_floating_point() or e.softcap is not None or other.dim() > z.dim():
        return NotImplemented
    if (other.dtype != z.dtype and e.product is not None) or e.part is not None:
        return NotImplemented  # the gradient of a factor of a part is a part of a sum
    dtype = promoted(z, other)
    if dtype != z.dtype:
        return NotImplemented
    factor = other.reshape(())
    hidden = by(e.hidden, factor)
    bias = None if e.bias is None else by(e.bias, factor)
    return derive(z, e.rescaled(hidden, bias, dtype))


def _number(x: Any) -> float | None:
    """The number that stands for a scalar or a tensor of one element, on the CPU and without a gradient."""
    if isinstance(x, Tensor):
        return float(x) if x.numel() == 1 and x.dim() <= 1 and not x.is_complex() else None
    return float(x) if isinstance(x, (int, float)) and not isinstance(x, bool) else None


def promoted(z: LazyLogits, other: Any) -> torch.dtype:
    """The dtype of what torch makes of logits and another."""
    return torch.result_type(torch.empty((1,) * max(z.dim(), 1), dtype=z.dtype, device=z.device), other)


@implements(*methods("tanh"))
def _capped(func: Any, z: LazyLogits) -> Any:
    e = z._expression
    if e.kind != "logits" or e.softcap is not None or not e.scale > 0.0:
        return NotImplemented
    return derive(z, e.then(torch.tanh, softcap=1.0))


# --- softmax ------------------------------------------------------------------------------------------------------


@implements(*methods("log_softmax"), F.log_softmax, torch.special.log_softmax, functional.log_softmax)
def _log_softmax(func: Any, z: Any, dim: Any = None, *args: Any, **kwargs: Any) -> Any:
    return _normalized("log_probs", torch.log_softmax, z, dim, *args, **kwargs)


@implements(*methods("softmax"), F.softmax, torch.special.softmax, functional.softmax)
def _softmax(func: Any, z: Any, dim: Any = None, *args: Any, **kwargs: Any) -> Any:
    return _normalized("probs", torch.softmax, z, dim, *args, **kwargs)


def _normalized(kind: str, function: Any, z: Any, dim: Any, *args: Any, dtype: Any = None, **kwargs: Any) -> Any:
    if args and isinstance(args[-1], torch.dtype):
        dtype = args[-1]
    if kwargs.pop("validate", False):
        return NotImplemented
    if not tidy(kwargs, "_stacklevel") or not on_classes(z, dim) or (dtype and not dtype.is_floating_point):
        return NotImplemented
    if z._expression.kind not in ("logits", "log_probs"):  # log-probabilities are logits of the same softmax
        return NotImplemented
    dtype = dtype or (z.dtype if z.device.type == "cpu" else contract.loss_dtype(z))  # on a CPU, autocast leaves it
    return derive(z, z._expression.then(function, -1, dtype, dtype=dtype, kind=kind))


@implements(*methods("neg", "negative"), Tensor.__neg__)
def _negated(func: Any, z: LazyLogits) -> Any:
    if z._expression.kind == "logits" and z._expression.softcap is None:
        return derive(z, z._expression.then(torch.neg, scale=-z._expression.scale))
    if z._expression.kind != "log_probs":
        return NotImplemented
    return derive(z, z._expression.then(torch.neg, kind="information"))


@implements(*methods("exp"))
def _exp(func: Any, z: LazyLogits) -> Any:
    if z._expression.kind != "log_probs":
        return NotImplemented
    return derive(z, z._expression.then(torch.exp, kind="probs"))


def _energy(a: LazyLogits, b: LazyLogits) -> Any:
    """The product of softmax and log_softmax of the same logits, whose sum is minus the entropy."""
    probs, log_probs = (a, b) if a._expression.kind == "probs" else (b, a)
    p, q = probs._expression, log_probs._expression
    if p.kind != "probs" or q.kind not in ("log_probs", "bounded") or not p.same(q) or p.dtype != q.dtype:
        return NotImplemented
    return derive(log_probs, q.then(_times_exp, kind="p_log_p"))


def _times_exp(log_probs: Tensor) -> Tensor:
    return log_probs.exp() * log_probs


def minus_logsumexp(z: Any, other: Any) -> Any:
    """Logits minus their logsumexp, which is log_softmax."""
    reference, version = getattr(other, "_logsumexp_of", (lambda: None, None))
    of = reference()
    if of is None or not isinstance(z, LazyLogits) or not of.same(z._expression):
        return NotImplemented
    if _torch.version(other) != version or _torch.is_watched(other):
        return NotImplemented
    if other.requires_grad != (z._node is not None) or other.dtype != z.dtype:
        return NotImplemented
    e = z._expression
    if e.kind != "logits" or e.class_dim != z.dim() - 1 or other.shape != (*z.shape[:-1], 1):
        return NotImplemented
    return derive(z, e.then(_less_logsumexp, kind="log_probs"))


def _less_logsumexp(z: Tensor) -> Tensor:
    return z - z.logsumexp(-1, keepdim=True)


@implements(*methods("clamp", "clip", "clamp_min"))
def _clamp(func: Any, z: Any, min: Any = None, max: Any = None) -> Any:
    """A bound below all numbers, for log-probabilities which may be −inf."""
    if not isinstance(z, LazyLogits) or z._expression.kind != "log_probs" or max is not None:
        return NotImplemented
    if not isinstance(min, float) or min != torch.finfo(z.dtype).min:
        return NotImplemented
    return derive(z, z._expression.then(torch.clamp, min, kind="bounded"))


@implements(torch.broadcast_tensors, torch.functional.broadcast_tensors)
def _broadcast(func: Any, *tensors: Any) -> Any:
    tensors = tuple(tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)) else tensors
    lazy = [z for z in tensors if isinstance(z, LazyLogits)]
    if len(lazy) != 1 or not all(isinstance(x, Tensor) for x in tensors):
        return NotImplemented
    if torch.broadcast_shapes(*(x.shape for x in tensors)) != lazy[0].shape:
        return NotImplemented
    return tuple(x if isinstance(x, LazyLogits) else x.expand(lazy[0].shape) for x in tensors)
