"""What changes the classes of lazy logits, and keeps them lazy: a head of other rows and another bias.

    z + v                  h Wᵀ + (b + v)                        v (C), as priors or a mask of 0 and −inf
    z[..., m] = v          h (W with 0 at m)ᵀ + (b with v at m)  v a number, as −inf
    z[..., i]              h W_iᵀ + b_i                          i indices of classes, or a mask of them
    h₁ W₁ᵀ + h₂ W₂ᵀ        [h₁, h₂] [W₁, W₂]ᵀ                    the terms of a low-rank adapter

With s z for a scale, b + v / s. A cap is no product: what comes after one computes the logits, and so does what
depends on row and class. The rows of classes that do not count are zero, and not their logits alone, so that no
gradient comes to them, or from them to h: a label among them has the gradients that it has in torch.
"""

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from crossentropy.lazy._derivations import methods, minus_logsumexp, on_classes, on_rows, promoted
from crossentropy.lazy._expression import Expression
from crossentropy.lazy._tensor import LazyLogits, become, derive, implements

_IN_PLACE = (Tensor.add_, Tensor.__iadd__, Tensor.sub_, Tensor.__isub__, Tensor.masked_fill_, Tensor.index_fill_)
_SUBTRACTIONS = {*methods("sub", "subtract"), Tensor.__sub__, Tensor.sub_, Tensor.__isub__}


def _is_product(z: Any) -> bool:
    """Whether lazy logits are s (h Wᵀ + b), and this rank has all classes."""
    if not isinstance(z, LazyLogits):
        return False
    e = z._expression
    return e.kind == "logits" and e.softcap is None and e.part is None and e.class_dim is not None


def _vector(z: LazyLogits, x: Any) -> Tensor | None:
    """A tensor that has one element for each class, and is the same for all rows: (C,)."""
    axis = z._expression.class_dim
    assert axis is not None
    classes = z.shape[axis]
    if not isinstance(x, Tensor) or isinstance(x, LazyLogits) or x.device != z.device:
        return None
    along = axis - z.dim()
    fits = -along <= x.dim() <= z.dim() and x.shape[along] == classes == x.numel()
    return x.reshape(classes) if fits else None


def _whole(e: Expression) -> Expression:
    """The same, of a head that has no classes but those in view."""
    assert e.class_dim is not None
    e.check()
    return e if e.twin.shape[e.class_dim] == len(e.weight) else e.of_rows(e.laid_out(), e.class_dim)


def _result(func: Any, z: LazyLogits, expression: Expression | None) -> Any:
    """Lazy logits of an expression, or these changed in place."""
    if expression is None:
        return NotImplemented
    return become(z, expression) if func in _IN_PLACE else derive(z, expression)


# --- one number for each class ------------------------------------------------------------------------------------


@implements(*methods("add"), Tensor.__add__, Tensor.__radd__, Tensor.add_, Tensor.__iadd__)
def _sum(func: Any, z: Any, other: Any) -> Any:
    if isinstance(z, LazyLogits) and isinstance(other, LazyLogits):
        return NotImplemented if func in _IN_PLACE else _of_two(z, other)
    z, other = (other, z) if isinstance(other, LazyLogits) and func not in _IN_PLACE else (z, other)
    return _result(func, z, _biased(z, other)) if _is_product(z) else NotImplemented


@implements(*_SUBTRACTIONS)
def _difference(func: Any, z: Any, other: Any) -> Any:
    found = minus_logsumexp(z, other) if func not in _IN_PLACE else NotImplemented
    if found is not NotImplemented or not _is_product(z) or not isinstance(other, Tensor):
        return found
    return NotImplemented if isinstance(other, LazyLogits) else _result(func, z, _biased(z, -other))


def _biased(z: LazyLogits, other: Any) -> Expression | None:
    vector = _vector(z, other)
    if vector is None or not vector.dtype == z._expression.weight.dtype == z.dtype:
        return None
    e = _whole(z._expression)
    vector = vector / e.scale
    return e.rescaled(e.hidden, vector if e.bias is None else e.bias + vector, z.dtype)


@implements(*methods("masked_fill"), Tensor.masked_fill_)
def _masked(func: Any, z: Any, mask: Any, value: Any) -> Any:
    return _result(func, z, _constant(z, mask, value))


@implements(torch.where)
def _where(func: Any, condition: Any, input: Any, other: Any) -> Any:
    if not isinstance(condition, Tensor) or isinstance(condition, LazyLogits) or condition.dtype != torch.bool:
        return NotImplemented
    if isinstance(other, LazyLogits):
        return _result(func, other, _constant(other, condition, input))
    return _result(func, input, _constant(input, ~condition, other))


@implements(Tensor.where)
def _where_method(func: Any, z: Any, condition: Any, other: Any) -> Any:
    return _where(func, condition, z, other)


@implements(*methods("index_fill"), Tensor.index_fill_)
def _index_filled(func: Any, z: Any, dim: Any, index: Any, value: Any) -> Any:
    if not on_classes(z, dim) or not isinstance(index, Tensor):
        return NotImplemented
    return _result(func, z, _constant(z, _mask_of(z, index), value))


@implements(Tensor.__setitem__)
def _set(func: Any, z: Any, index: Any, value: Any) -> Any:
    part = _of_classes(z, index)
    expression = None if part is None else _constant(z, _mask_of(z, part[0]), value) if part[1] else None
    return NotImplemented if expression is None or become(z, expression) is NotImplemented else None


def _constant(z: Any, mask: Any, value: Any) -> Expression | None:
    """Logits that are one number for some classes."""
    if not _is_product(z):
        return None
    vector, number = _vector(z, mask), _exact(z, value)
    if vector is None or vector.dtype != torch.bool or number is None:
        return None
    e = _whole(z._expression)
    bias = e.weight.new_zeros(len(e.weight)) if e.bias is None else e.bias
    bias = bias.masked_fill(vector, number / e.scale)
    if e.hidden.device.type == "cpu" and not bool(bias.isfinite().any()):
        return None  # no class is left: torch's gradient is cut where it is nan, and a product would spread it
    return e.of_head(e.weight.masked_fill(vector.unsqueeze(1), 0.0), bias)


def _exact(z: LazyLogits, value: Any) -> float | None:
    """The number that logits will be which are set to a value, if a bias can hold it."""
    e = z._expression
    if isinstance(value, Tensor):
        if value.dim() or value.requires_grad or value.device.type != "cpu" or value.dtype != z.dtype:
            return None
    elif not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    if promoted(z, value) != z.dtype:
        return None
    try:
        number = float(torch.tensor(float(value), dtype=z.dtype))
    except (OverflowError, RuntimeError):
        return None  # which torch refuses
    if math.isinf(number) and not math.isinf(float(value)):
        return None  # torch refuses what overflows, or does not
    held = float(torch.tensor(number, dtype=e.product or e.weight.dtype))
    scaled = e.scale != 1.0 and math.isfinite(number) and number != 0.0
    return number if held == number < math.inf and not scaled else None


# --- some of the classes ------------------------------------------------------------------------------------------


def _of_classes(z: Any, index: Any) -> tuple[Any, bool] | None:
    """The part of an index that is for the classes, and whether it is for all rows; None if it is not by slices."""
    if not isinstance(z, LazyLogits) or z._expression.class_dim is None:
        return None
    parts = list(index) if isinstance(index, tuple) else [index]
    if not all(x is Ellipsis or type(x) in (slice, int, list, Tensor) for x in parts):
        return None
    gaps = sum(x is Ellipsis for x in parts)
    if gaps > 1 or len(parts) > z.dim() + gaps:
        return None
    at = next((i for i, x in enumerate(parts) if x is Ellipsis), len(parts))
    after = parts[at + 1 :]
    full = [*parts[:at], *[slice(None)] * (z.dim() - at - len(after)), *after]
    own = full.pop(z._expression.class_dim)
    if any(type(x) is not slice for x in full):
        return None
    if isinstance(own, list) and not all(type(i) in (int, bool) for i in own):
        return None
    if isinstance(own, Tensor) and (own.dim() != 1 or own.dtype not in (torch.bool, torch.int64, torch.int32)):
        return None
    return own, all(x == slice(None) for x in full)


def _mask_of(z: LazyLogits, index: Any) -> Tensor | None:
    """The classes (C,) that an index selects, in the shape in which they act on all rows."""
    axis = z._expression.class_dim
    assert axis is not None
    mask = torch.zeros(z.shape[axis], dtype=torch.bool, device=z.device)
    try:
        mask[index] = True
    except (IndexError, RuntimeError, TypeError, ValueError):
        return None
    return mask.view(-1, *[1] * (z.dim() - axis - 1))


def indexed(z: LazyLogits, index: Any) -> Any:
    """Lazy logits of classes that a list, or a tensor, selects; rows by slices."""
    part = _of_classes(z, index)
    if part is None or not isinstance(part[0], (list, Tensor)):
        return NotImplemented
    own, every = part
    if not every:
        rows: Any = z[tuple(slice(None) if x is own else x for x in index)]
        return selected(rows, own)
    return selected(z, own)


def selected(z: LazyLogits, index: Any) -> Any:
    """Lazy logits of some classes."""
    e = z._expression
    if e.kind != "logits" or e.part is not None or e.class_dim is None:
        return NotImplemented
    index = torch.tensor(index, device=z.device) if isinstance(index, list) else index
    if index.device != z.device and index.device.type != "cpu":
        return NotImplemented
    rows = e.of_rows(e.laid_out(), e.class_dim)
    try:
        weight, bias = rows.weight[index], None if rows.bias is None else rows.bias[index]
    except (IndexError, RuntimeError):
        return NotImplemented
    return derive(z, rows.of_head(weight, bias)) if len(weight) > 1 else NotImplemented


@implements(*methods("index_select"))
def _index_select(func: Any, z: Any, dim: int, index: Tensor) -> Any:
    if on_classes(z, dim):
        return selected(z, index)
    if not isinstance(z, LazyLogits) or not on_rows(z, dim):
        return NotImplemented
    e = z._expression
    return derive(z, e.of_rows(func(e.laid_out(), dim, index), e.class_dim or 0))


# --- two terms ----------------------------------------------------------------------------------------------------


def _of_two(a: LazyLogits, b: LazyLogits) -> Any:
    """The sum of two products, as one of joined features."""
    if not _is_product(a) or not _is_product(b) or a.shape != b.shape or a.dtype != b.dtype:
        return NotImplemented
    axis = a._expression.class_dim
    assert axis is not None
    if axis != b._expression.class_dim or not _uncast(a._expression) or not _uncast(b._expression):
        return NotImplemented
    x, y = (z._expression.of_rows(z._expression.laid_out(), axis) for z in (a, b))
    if x.product != y.product or x.hidden.dtype != y.hidden.dtype or x.weight.dtype != y.weight.dtype:
        return NotImplemented
    hidden = torch.cat([_times(x.hidden, x.scale), _times(y.hidden, y.scale)], -1)
    biases = [_times(e.bias, e.scale) for e in (x, y) if e.bias is not None]
    joined = replace(x, hidden=hidden, scale=1.0, steps=(), sources=())
    b._used = True
    return derive(a, joined.of_head(torch.cat([x.weight, y.weight], 1), sum(biases[1:], biases[0]) if biases else None))


def _uncast(e: Expression) -> bool:
    """Whether logits have the dtype of the product."""
    return e.dtype == (e.product or torch.promote_types(e.hidden.dtype, e.weight.dtype))


def _times(x: Tensor, scale: float) -> Tensor:
    return x if scale == 1.0 else x * scale
