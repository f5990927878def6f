"""What fuses: functions of torch whose result follows from hidden states and head, without the logits.

gather, logsumexp, entropy · argmax, max, topk · token_statistics; losses are in `_losses`

A handler takes the arguments of torch's function, and gives NotImplemented where only the logits will do.
"""

import weakref
from typing import Any

import torch
from torch import Tensor

from crossentropy import _contract as contract
from crossentropy import _planner as planner
from crossentropy import _torch, distributed, functional
from crossentropy._logspace import transform
from crossentropy.lazy._classes import indexed
from crossentropy.lazy._derivations import methods, on_all_classes, on_classes, tidy, viewed
from crossentropy.lazy._losses import masks, of_head, part_of, places, wide
from crossentropy.lazy._tensor import LazyLogits, derive, implements

_NEVER = torch.iinfo(torch.int64).min
"""A label that no row has."""


def _statistics(
    z: LazyLogits,
    target: Tensor | None = None,
    ignore_index: contract.Ignored = _NEVER,
    out_dtype: torch.dtype | None = None,
    validate: bool = False,
    class_mask: Tensor | None = None,
) -> functional.TokenStatistics:
    e = z._expression
    weight, bias = e.head()
    e.check()
    with e.autocast():
        return functional.token_statistics(
            e.rows(),
            target,
            linear_weight=weight,
            linear_bias=bias,
            softcap=e.softcap,
            logit_scale=e.scale,
            ignore_index=ignore_index,
            class_mask=class_mask,
            out_dtype=out_dtype or wide(z),
            validate=validate,
        )


def _statistics_of_part(
    z: LazyLogits, target: Tensor | None, ignore_index: int, out_dtype: torch.dtype | None, validate: bool
) -> functional.TokenStatistics:
    """Statistics of all classes, of which each rank has a part."""
    e = z._expression
    part, (weight, bias) = part_of(e), e.head()
    e.check()
    with e.autocast():
        found = distributed.vocab_parallel_token_statistics(
            e.rows(),
            part.shared(target),
            linear_weight=weight,
            linear_bias=bias,
            softcap=e.softcap,
            logit_scale=e.scale,
            ignore_index=ignore_index,
            out_dtype=out_dtype or wide(z),
            validate=validate,
            **places(part),
        )
    return functional.TokenStatistics(*(x if x is None else part.everywhere(x) for x in found))  # pyright: ignore[reportArgumentType]


def _logit(z: LazyLogits, rows: Tensor, classes: Tensor) -> Tensor:
    """Logits (…, k) of some classes (…, k) of each row, as products of hidden states with theirs rows of the head."""
    e = z._expression
    weight, bias = e.head()
    e.check()
    with torch.autocast(z.device.type, enabled=False):
        found = (weight[classes].to(wide(rows)) @ rows.to(wide(rows)).unsqueeze(-1)).squeeze(-1)
    found = found if bias is None else found + bias[classes]
    return transform(found, e.scale, e.softcap)


def _chosen(func: Any, z: LazyLogits, rows: Tensor, classes: Any) -> Any:
    """Logits or log-probabilities of one class of each of some rows (…, D)."""
    classes, rows = torch.broadcast_tensors(classes.long().unsqueeze(-1), rows)
    classes = classes[..., :1]
    if not classes.numel():
        return NotImplemented
    if z.device.type == "cpu" and bool((classes < 0).any()):
        classes = torch.where(classes < 0, classes + z.shape[-1], classes)
    found = _gathered(func, derive(z, z._expression.of_rows(rows, rows.dim() - 1)), classes)
    return found if found is NotImplemented else found.squeeze(-1)


def _gathered(func: Any, z: LazyLogits, index: Tensor) -> Any:
    """Values (…, k) of classes (…, k), classes last."""
    kind, count = z._expression.kind, index.shape[-1]
    if z._expression.part is not None:
        return NotImplemented
    large = count > 1 and count * z._expression.hidden.shape[1] > z.shape[-1]  # than the logits would be
    if kind not in ("logits", "log_probs", "information", "probs") or large:
        return NotImplemented
    if z.device.type == "cpu" and bool(((index < 0) | (index >= z.shape[-1])).any()):
        return NotImplemented  # elsewhere the device finds out
    if kind != "logits" and count == 1:
        found = _statistics(z, index.squeeze(-1)).log_prob
        assert found is not None
        found = found.unsqueeze(-1)
    else:
        found = _logit(z, z._expression.rows(), index)
        if kind != "logits":
            found = found - _statistics(z).logsumexp.unsqueeze(-1)
    z.record(func, fused=True)
    found = -found if kind == "information" else found.exp() if kind == "probs" else found
    return found.to(z.dtype)


@implements(Tensor.__getitem__)
def _getitem(func: Any, z: Any, index: Any) -> Any:
    if not isinstance(z, LazyLogits):
        return NotImplemented
    if isinstance(index, list) and not all(isinstance(i, int) for i in index):
        return NotImplemented  # which torch may take for a tuple
    parts = index if isinstance(index, tuple) else (index,)
    if all(x is None or x is Ellipsis or type(x) in (int, slice) for x in parts):
        return viewed(z, lambda x: x[index])
    if not all(x is None or x is Ellipsis or type(x) in (int, slice, list, Tensor) for x in parts):
        return NotImplemented
    if any(isinstance(x, Tensor) and x.dtype not in _INDICES for x in parts):
        return NotImplemented
    if z.dim() > 1 and (found := indexed(z, index)) is not NotImplemented:
        return found
    if z._expression.class_dim != z.dim() - 1:
        return NotImplemented
    if len(parts) == z.dim() and all(isinstance(x, Tensor) and x.dtype != torch.bool for x in parts):
        return _chosen(func, z, z._expression.rows()[parts[:-1]], parts[-1])  # one class for each of some rows
    parts = _without_ellipsis(parts, z.dim())
    if _reach(parts) == z.dim() and isinstance(parts[-1], slice) and parts[-1] == slice(None):
        parts = parts[:-1]
    if _reach(parts) >= z.dim():
        return NotImplemented
    try:
        rows = z._expression.rows()[parts]
    except (RuntimeError, IndexError, TypeError, ValueError):
        return NotImplemented
    return derive(z, z._expression.of_rows(rows, rows.dim() - 1))


_INDICES = (torch.bool, torch.int64, torch.int32)


def _reach(parts: tuple[Any, ...]) -> int:
    """How many axes an index is for."""
    return sum(x.dim() if isinstance(x, Tensor) and x.dtype == torch.bool else x is not None for x in parts)


def _without_ellipsis(parts: tuple[Any, ...], axes: int) -> tuple[Any, ...]:
    """An index with slices in place of an ellipsis."""
    at = [i for i, x in enumerate(parts) if x is Ellipsis]
    if len(at) != 1:
        return parts
    before, after = parts[: at[0]], parts[at[0] + 1 :]
    return (*before, *[slice(None)] * (axes - _reach(before) - _reach(after)), *after)


@implements(*methods("take_along_dim"))
def _take_along_dim(func: Any, z: Any, indices: Any, dim: Any = None) -> Any:
    return _gather(func, z, dim, indices)


@implements(*methods("gather"))
def _gather(func: Any, z: Any, dim: Any, index: Any, **kwargs: Any) -> Any:
    if not tidy(kwargs) or not on_all_classes(z, dim) or not isinstance(index, Tensor) or index.dim() != z.dim():
        return NotImplemented
    axis = z._expression.class_dim
    assert axis is not None
    last, index = z.movedim(axis, -1), index.movedim(axis, -1)
    if index.shape[:-1] != last.shape[:-1] or not index.numel() or index.dtype != torch.int64:
        return NotImplemented
    found = _gathered(func, last, index)
    return found if found is NotImplemented else found.movedim(-1, axis)


@implements(*methods("logsumexp"), torch.special.logsumexp)
def _logsumexp(func: Any, z: Any, dim: Any, keepdim: bool = False, **kwargs: Any) -> Any:
    if kwargs or not on_all_classes(z, dim) or z._expression.kind != "logits":
        return NotImplemented
    z.record(func, fused=True)
    found = _statistics(z).logsumexp.to(z.dtype)
    if keepdim:
        found = found.unsqueeze(z._expression.class_dim)
        if not found.is_inference():
            found._logsumexp_of = weakref.ref(z._expression), _torch.version(found)  # pyright: ignore[reportAttributeAccessIssue]
    return found


@implements(*methods("eq", "ne"), Tensor.__eq__, Tensor.__ne__)
def _against_itself(func: Any, z: Any, other: Any) -> Any:
    """Whether logits equal themselves: all of them, where no row's logsumexp is nan."""
    if (
        z is not other
        or z._expression.class_dim is None
        or z._expression.part is not None
        or z._expression.kind not in ("logits", "log_probs")
    ):
        return NotImplemented
    with torch.no_grad():
        if not bool(_statistics(z).logsumexp.isfinite().all()):
            return NotImplemented
    z.record(func, fused=True)
    return torch.full(z.shape, func in (torch.eq, Tensor.eq, Tensor.__eq__), device=z.device)


@implements(*methods("sum"))
def _sum(func: Any, z: Any, dim: Any = None, keepdim: bool = False, **kwargs: Any) -> Any:
    """Of p log p: minus the entropy; of log p: C times minus the loss of a label that is smoothed over all classes."""
    if not tidy(kwargs, "dtype") or not on_all_classes(z, dim):
        return NotImplemented
    e, dtype = z._expression, kwargs.get("dtype") or z.dtype
    if e.kind == "p_log_p":
        found = -_statistics(z).entropy
    elif e.kind in ("log_probs", "information"):
        label = torch.zeros(e.rows().shape[:-1], dtype=torch.int64, device=z.device)
        found = of_head(e, label, reduction="none", label_smoothing=1.0, out_dtype=wide(z))
        found = found * (z.shape[e.class_dim or 0] if e.kind == "information" else -z.shape[e.class_dim or 0])
    else:
        return NotImplemented
    z.record(func, fused=True)
    found = found.to(dtype)
    return found.unsqueeze(e.class_dim) if keepdim else found


@implements(*methods("argmax"))
def _argmax(func: Any, z: Any, dim: Any = None, keepdim: bool = False, **kwargs: Any) -> Any:
    if kwargs or not on_all_classes(z, dim) or z._expression.kind not in ("logits", "log_probs", "probs"):
        return NotImplemented
    with torch.no_grad():
        found = _statistics(z).argmax
    z.record(func, fused=True)
    return found.unsqueeze(z._expression.class_dim) if keepdim else found


@implements(*methods("max"))
def _max(func: Any, z: Any, dim: Any = None, keepdim: bool = False, **kwargs: Any) -> Any:
    if kwargs or not on_all_classes(z, dim) or z._expression.kind not in ("logits", "log_probs", "probs"):
        return NotImplemented
    axis = z._expression.class_dim
    with torch.no_grad():
        index = _statistics(z).argmax.unsqueeze(axis)
    values = _gather(func, z, axis, index)
    if values is NotImplemented:
        return NotImplemented
    found = (values, index) if keepdim else (values.squeeze(axis), index.squeeze(axis))
    return torch.return_types.max(found)


@implements(*methods("amax"))
def _amax(func: Any, z: Any, dim: Any = (), keepdim: bool = False, **kwargs: Any) -> Any:
    if z.requires_grad and torch.is_grad_enabled():
        return NotImplemented  # its gradient goes to all that are largest
    found = _max(func, z, dim[0] if isinstance(dim, (tuple, list)) and len(dim) == 1 else dim, keepdim, **kwargs)
    return found if found is NotImplemented else found[0]


@implements(functional.token_statistics)
def _token_statistics(
    func: Any,
    input: Any,
    target: Any = None,
    *,
    dim: int = -1,
    ignore_index: contract.Ignored = -100,
    out_dtype: Any = None,
    logit_scale: float = 1.0,
    validate: bool = False,
    class_mask: Any = None,
    **others: Any,
) -> Any:
    if any(value is not None for value in others.values()) or logit_scale != 1.0:
        return NotImplemented
    if not on_classes(input, dim) or input._expression.kind != "logits":
        return NotImplemented
    part = input._expression.part
    if not masks(class_mask, input) or any(isinstance(x, LazyLogits) for x in (target, class_mask)):
        return NotImplemented
    if part is None:
        if class_mask is not None and class_mask.dim() > 1:
            class_mask = class_mask.movedim(dim, -1)
        input.record(func, fused=True)
        return _statistics(input, target, ignore_index, out_dtype, validate, class_mask)
    if part.is_elsewhere(target) or class_mask is not None or not isinstance(ignore_index, int):
        return NotImplemented
    input.record(func, fused=True)
    return _statistics_of_part(input, target, ignore_index, out_dtype, validate)


@implements(*methods("topk"))
def _topk(func: Any, z: Any, k: int, dim: Any = -1, largest: bool = True, sorted: bool = True, **kwargs: Any) -> Any:
    """By chunks of rows."""
    if kwargs or not on_all_classes(z, dim) or z._expression.kind != "logits" or not 0 < k <= z.shape[dim]:
        return NotImplemented
    axis = z._expression.class_dim
    assert axis is not None
    last = z.movedim(axis, -1)
    rows = last.reshape(-1, last.shape[-1]).split(max(1, planner.CPU.budget // (4 * last.shape[-1])))
    with torch.no_grad():
        found = [part._expression.dense().topk(k, -1, largest, sorted) for part in rows]
    values, index = (torch.cat(x).view(*last.shape[:-1], k).movedim(-1, axis) for x in zip(*found))
    if z.requires_grad:
        values = _gather(func, z, axis, index)
        if values is NotImplemented:
            return NotImplemented
    else:
        z.record(func, fused=True)
    return torch.return_types.topk((values, index))
