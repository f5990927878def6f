"""Logits of a few classes of each row, and logsumexp of all others: what a row of a million classes is made of.

    z_ij = s (h_i · W_{k_ij} + b_{k_ij})          j = 1 … K chosen classes of row i, summed in float32
    lse(z_i) over the other classes               by `Rows.statistics(absent=k)`, without logits

The gradient of W has an entry for each chosen class, added up in float32. An index of −1 is no class: its logit is
−inf.
"""

import math
from typing import Any

import torch
from torch import Tensor

from crossentropy import _torch
from crossentropy._logspace import transform, wide
from crossentropy._loss import LossSpec, LossTensors

_PIECE = 2**22
"""Entries of hidden states times heads' rows that exist at once."""


def chosen_logits(tensors: LossTensors, spec: LossSpec, index: Tensor) -> Tensor:
    """Logits (…, K) of the classes `index` (…, K) under a head, transformed, in the accumulation dtype."""
    hidden, head, bias = tensors.input, tensors.linear_weight, tensors.linear_bias
    assert head is not None
    known = index.clamp(min=0)
    count = math.prod(hidden.shape[:-1])
    flat, rows = known.reshape(count, index.shape[-1]), hidden.reshape(count, hidden.shape[-1])
    traced = torch.compiler.is_compiling() or _torch.tracing() or _torch.transformed() or _torch.forward_mode()
    z: Tensor = (_products if traced else _Products.apply)(rows, head, flat)  # pyright: ignore[reportAssignmentType]
    z = z.reshape(index.shape)
    if bias is not None:
        z = z + bias.to(z.dtype)[known]
    z = transform(z.to(spec.dtype), spec.logit_scale, spec.softcap, spec.temperature)
    return z.masked_fill(index < 0, -torch.inf)


def _products(hidden: Tensor, head: Tensor, index: Tensor) -> Tensor:
    """h_i · W_{k_ij}, by operators that can be differentiated."""
    dtype = wide(torch.promote_types(hidden.dtype, head.dtype))
    return (hidden.to(dtype).unsqueeze(1) * head[index].to(dtype)).sum(-1)


class _Products(torch.autograd.Function):
    """h_i · W_{k_ij} in pieces of rows. Derivatives of its gradient are those of `_products`."""

    @staticmethod
    def forward(hidden: Tensor, head: Tensor, index: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return torch.cat([_products(h, head, k) for h, k in zip(*_pieces(hidden, index))])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:  # noqa: ANN401
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401  # pyright: ignore[reportIncompatibleMethodOverride]
        hidden, head, index = ctx.saved_tensors
        of_hidden, of_head, _ = ctx.needs_input_grad
        pieces = list(zip(*_pieces(hidden, index, upstream)))
        by_hidden = by_head = None
        if of_hidden:
            parts = [(g.unsqueeze(-1) * head[k].to(g.dtype)).sum(1) for _, k, g in pieces]
            by_hidden = torch.cat(parts).to(hidden.dtype)
        if of_head:
            by_head = torch.zeros(head.shape, dtype=upstream.dtype, device=head.device)
            for h, k, g in pieces:
                added = (g.unsqueeze(-1) * h.to(g.dtype).unsqueeze(1)).flatten(0, 1)
                by_head = by_head.index_add_(0, k.flatten(), added)
            by_head = by_head.to(head.dtype)
        return by_hidden, by_head, None


def _pieces(hidden: Tensor, *others: Tensor) -> list[tuple[Tensor, ...]]:
    """Pieces of rows, of hidden states and of what else belongs to rows."""
    most = max(1, _PIECE // max(others[0].shape[1] * hidden.shape[1], 1))
    return [x.split(most) for x in (hidden, *others)]
