"""Functions of DTensors with an element for each of theirs: log_softmax, and what looks at one element at a time.

    log p_c = z_c − lse(z)      lse, and log p of the largest class, folded over the ranks where classes are cut

Elements stay where they are. What is one number for a row has a part of its gradient on each rank; they are added up.
"""

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, Replicate

from crossentropy import _logspace as logspace
from crossentropy._dispatch import select_slicing
from crossentropy._loss import Kind, Loss, LossSpec, Side, without, without_tensors
from crossentropy._ranks._call import rows_of
from crossentropy._ranks._dtensors import Layout, axis_of, layout_of, local, placed
from crossentropy._ranks._function import Share


def log_softmax(input: Tensor, dim: int) -> Tensor:
    """Log-probabilities in the accumulation dtype, placed as the logits."""
    rank = max(input.dim(), 1)
    layout = layout_of(input, None, dim % rank, rank)
    x = local(input, layout.logits).to(logspace.wide(input.dtype))
    found = _of_slice(x, layout, input.shape) if layout.cut else logspace.log_softmax(x, dim)
    return placed(found, layout.mesh, layout.logits, input.shape)


def _of_slice(x: Tensor, layout: Layout, shape: torch.Size) -> Tensor:
    """Log-probabilities of this rank's classes, of logits of this shape."""
    dim = layout.class_dim
    shares = layout.shares(shape[dim])
    count = shares.sizes[shares.group.rank]
    (_, _, lse), largest = _rows("statistics", x, None, layout, shape[dim])
    (surprise,), _ = _rows("cross_entropy", x, largest, layout, shape[dim])  # every digit, where lse − z cancels
    # a last axis for the two of them leaves the rows' axes what they are
    rows = torch.Size((*without(shape, dim), 2))
    both = local(placed(torch.stack([lse, surprise], -1), layout.mesh, layout.rows, rows), layout.rows, layout.cut)
    lse, surprise = both.unsqueeze(dim).unbind(-1)
    log_p = x - lse
    if not count:
        return log_p - surprise  # of nothing, so that it takes part in the sum of gradients
    index = (largest.unsqueeze(dim) - shares.begin).clamp(0, count - 1)
    here = (largest.unsqueeze(dim) - shares.begin == index) & (surprise < 0.5)
    return log_p.scatter(dim, index, torch.where(here, -surprise, log_p.gather(dim, index)))


def _rows(kind: Kind, x: Tensor, target: Tensor | None, layout: Layout, num_classes: int) -> tuple[Tensor, Tensor]:
    """The rows of a loss of logits of which this rank has a slice, and their argmax."""
    shape = list(x.shape)
    shape[layout.class_dim] = num_classes
    spec = LossSpec(layout.class_dim, num_classes, False, x.dtype, ignores=False)
    loss = Loss(kind, (Side(x, None, None, spec),), torch.Size(shape), target)
    share = Share(select_slicing(loss), without_tensors(loss), layout.shares(num_classes))
    return rows_of(share, loss, torch.zeros((), dtype=torch.int64, device=x.device))


def elementwise(function: Callable[..., Tensor], *tensors: Tensor | None) -> Tensor:
    """A function of tensors that broadcast, which has an element for each of theirs, placed as they are."""
    broadcast = iter(torch.broadcast_tensors(*(x for x in tensors if x is not None)))
    given = [None if x is None else cast(DTensor, next(broadcast)) for x in tensors]
    placed_as = [x.placements for x in given if x is not None]
    first = next(x for x in given if x is not None)
    placements = tuple(
        next((p for p in choices if axis_of(p, first.dim()) is not None), Replicate()) for choices in zip(*placed_as)
    )
    result = function(*(None if x is None else local(x, placements) for x in given))
    return placed(result, first.device_mesh, placements, first.shape)
