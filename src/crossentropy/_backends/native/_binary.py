"""Binary losses of plain tensors: each logit is read once, and once more for its gradient.

    ℓ = −w [π y log σ(z) + (1 − y) log σ(−z)]

z logits · y target · w weight · π pos_weight; `csrc/storage.h` has the formulae. The library knows blocks of elements:
whole rows of the last axis where a weight has a number for each of its entries, else as many as are convenient.
"""

from typing import Any

import torch
from torch import Tensor

from crossentropy import _logspace as logspace
from crossentropy._backends.chunked import _memory
from crossentropy._backends.native import _library as library
from crossentropy._reduction import weigh
from crossentropy._values import plain

_BINARY, _BLOCK = 5, 1024


def loss(z: Tensor, y: Tensor, weight: Tensor | None, pos_weight: Tensor | None, reduction: str) -> Tensor | None:
    """The reduced loss, or None where a tensor is not plain."""
    if (
        library.LIBRARY is None
        or not isinstance(z, Tensor)
        or z.dtype not in library.DTYPES
        or not plain(z)
        or not z.numel()
    ):
        return None
    if reduction not in ("none", "mean", "sum") or not _is_plain(y) or y.shape != z.shape:
        return None
    if not all(w is None or (_is_plain(w) and _fits(w.shape, z.shape)) for w in (weight, pos_weight)):
        return None
    y = y if y.is_floating_point() else y.to(z.dtype)
    if y.dtype not in (torch.float32, z.dtype):
        return None
    return _Binary.apply(z, y, weight, pos_weight, reduction)  # pyright: ignore[reportReturnType]


def _is_plain(x: object) -> bool:
    return (
        isinstance(x, Tensor) and plain(x) and not x.requires_grad and x.dtype != torch.float64 and not x.is_complex()
    )


def _fits(weight: torch.Size, shape: torch.Size) -> bool:
    return len(weight) <= len(shape) and all(a in (1, b) for a, b in zip(reversed(weight), reversed(shape)))


class _Binary(torch.autograd.Function):
    @staticmethod
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any,  # noqa: ANN401 (torch's)
        z: Tensor,
        y: Tensor,
        weight: Tensor | None,
        pos_weight: Tensor | None,
        reduction: str,
    ) -> Tensor:
        ctx.save_for_backward(z, y, weight, pos_weight)
        ctx.reduction = reduction
        job = _job(z, y, weight, pos_weight)
        if reduction == "none":
            result = _memory.empty(tuple(z.shape), torch.float32, z.device)
            job.point("loss", result)
        else:
            result = torch.empty(job.outer)
            job.point("mass", result)
        library.do(job)
        if reduction != "none":
            total = result.sum(dtype=torch.float64)
            result = (total / z.numel() if reduction == "mean" else total).float()
        return result.to(torch.float32 if torch.is_autocast_enabled("cpu") else torch.promote_types(z.dtype, y.dtype))

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride] # noqa: ANN401
        z, y, weight, pos_weight = ctx.saved_tensors
        nothing = (None,) * 4
        if torch.is_grad_enabled() or not all(x is None or plain(x) for x in (upstream, *ctx.saved_tensors)):
            return differentiable(z, y, weight, pos_weight, ctx.reduction, upstream), *nothing
        job = _job(z, y, weight, pos_weight)
        gradient = _memory.empty(tuple(z.shape), z.dtype, z.device)
        job.point("gradient", gradient)
        job.point("coefficient", upstream.float().contiguous())
        job.coefficient_step = int(ctx.reduction == "none")
        job.outer_scale = 1 / z.numel() if ctx.reduction == "mean" else 1.0
        library.do(job)
        return gradient, *nothing


def _job(z: Tensor, y: Tensor, weight: Tensor | None, pos_weight: Tensor | None) -> library.Struct:
    """What the library is asked, but for where its results go."""
    weights = {"weight": weight, "pos_weight": pos_weight}
    weights = {name: w for name, w in weights.items() if w is not None}
    of_last = any(w.numel() != 1 and _is_of_last(w, z) for w in weights.values())
    block = z.shape[-1] if of_last else _BLOCK
    made = library.Struct(task=_BINARY, dtype=library.DTYPES[z.dtype], target_dtype=library.DTYPES[y.dtype])
    made.row, made.classes, made.outer, made.inner = z.numel(), block, -(-z.numel() // block), 1
    made.point("logits", z.contiguous())
    made.point("target", y.contiguous())
    for name, w in weights.items():
        if w.numel() == 1:
            w = w.reshape(1).expand(block)
        elif not _is_of_last(w, z):
            w = w.expand(z.shape)
            setattr(made, f"{name}_row", block)
        made.point(name, w.float().contiguous())
    return made


def _is_of_last(weight: Tensor, z: Tensor) -> bool:
    """Whether a weight has one number for each entry of the last axis, and no more."""
    return weight.dim() > 0 and weight.numel() == weight.shape[-1] and weight.shape != z.shape


def differentiable(
    z: Tensor, y: Tensor, weight: Tensor | None, pos_weight: Tensor | None, reduction: str, upstream: Tensor
) -> Tensor:
    """The gradient by operators, which can be differentiated."""
    with torch.enable_grad():
        x = z.view_as(z) if z.requires_grad else z.detach().requires_grad_()
        dtype = logspace.wide(z.dtype)
        yes, no = y.to(dtype), 1 - y.to(dtype)
        yes = yes if pos_weight is None else yes * pos_weight.to(dtype)
        losses = logspace.binary_terms(x.to(dtype), yes, no, readable=False)
        losses = losses if weight is None else weigh(weight.to(dtype), losses)
        total = losses if reduction == "none" else losses.sum() if reduction == "sum" else losses.mean()
    return torch.autograd.grad(total, x, upstream.to(dtype), create_graph=torch.is_grad_enabled())[0]
