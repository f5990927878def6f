"""log_softmax of plain tensors: each row is read once, and so is its gradient.

    log p_c = (z_c − m) − log s         m = max z      s = Σ exp(z − m)      g the upstream
    G_c     = g_c − p_c Σ g             but where p_k > 0.61:    log p_k = −log1p(Σ_{c≠k} p_c / p_k)
                                                                 G_k = g_k Σ_{c≠k} p_c − p_k Σ_{c≠k} g_c

So value and gradient of a class that is almost certain come from the others, as in `_logspace`, and nothing computes
1 − p. float32 keeps its result for the backward pass, as torch does. In half precision that is too coarse (log p = −60
is off by 1/8 in bfloat16, p by 12 %): there the logits are kept, with m and log s of each row in float32.
"""

import math
from typing import Any

import torch
from torch import Tensor

from crossentropy import _logspace as logspace
from crossentropy._backends.chunked import _memory
from crossentropy._backends.native import _library as library
from crossentropy._values import plain

_NORMALISE, _PROJECT = 3, 4


def log_softmax(z: Tensor, dim: int) -> Tensor | None:
    """Logarithm of the softmax along `dim`, or None where the tensor is not plain."""
    if library.LIBRARY is None or z.dtype not in library.DTYPES or not plain(z) or z.dim() == 0 or z.numel() == 0:
        return None
    return _LogSoftmax.apply(z, dim % z.dim())  # pyright: ignore[reportReturnType]


class _LogSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, dim: int) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride] # noqa: ANN401
        x = z.contiguous()
        log_p, ctx.dim = _memory.empty(tuple(x.shape), x.dtype, x.device), dim
        rows = None
        if z.requires_grad and z.dtype != torch.float32:
            rows = x.new_empty((2, x.numel() // x.shape[dim]), dtype=torch.float32)
        _do(_NORMALISE, dim, x, log_p, rows)
        ctx.save_for_backward(log_p if rows is None else z, rows)
        return log_p

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride] # noqa: ANN401
        x, rows = ctx.saved_tensors
        alike = x.dtype is upstream.dtype and x.shape == upstream.shape  # hooks may save what they like
        if torch.is_grad_enabled() or not (alike and plain(x) and plain(upstream)):
            return differentiable(x, upstream, ctx.dim), None
        gradient = _memory.empty(tuple(x.shape), x.dtype, x.device)
        _do(_PROJECT, ctx.dim, x.contiguous(), gradient, rows, upstream.contiguous())
        return gradient, None


def _do(task: int, dim: int, x: Tensor, out: Tensor, rows: Tensor | None, upstream: Tensor | None = None) -> None:
    """A task of the library: contiguous tensors of one shape, and (2, rows) for m and log s of each row."""
    outer, classes, inner = math.prod(x.shape[:dim]), x.shape[dim], math.prod(x.shape[dim + 1 :])
    made = library.Struct(task=task, dtype=library.DTYPES[x.dtype], outer=outer, classes=classes, inner=inner)
    made.row = made.gradient_row = classes * inner
    made.across = made.gradient_across = inner
    made.point("logits", x)
    made.leave(out)
    made.point("upstream", upstream)
    if rows is not None:
        rows = rows.float().contiguous()  # hooks again
        made.point("maximum", rows[0])
        made.point("normaliser", rows[1])
    library.do(made)


def differentiable(x: Tensor, upstream: Tensor, dim: int) -> Tensor:
    """The gradient by operators, which can be differentiated; x are log-probabilities in float32, else logits."""
    log_p = x.float() if upstream.dtype == torch.float32 else logspace.log_softmax(x.float(), dim)
    p, g, apart = log_p.exp(), upstream.to(log_p.dtype), log_p > logspace.CERTAIN
    others, upstreams = (v.masked_fill(apart, 0.0).sum(dim, keepdim=True) for v in (p, g))
    gradient = torch.where(apart, g * others - p * upstreams, g - p * g.sum(dim, keepdim=True))
    return gradient.to(upstream.dtype)
