"""Which rows and classes of an input are shown, and the input taken apart without a second copy of it."""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from crossentropy._logspace import transform as transformed
from crossentropy._logspace import wide
from crossentropy._loss import LossSpec, LossTensors, cpu_multiplies

LARGEST_PIECE = 1 << 20
"""Logits that are converted to float64 at once: 8 MB."""


def choose_rows(losses: Tensor, most: int) -> list[int]:
    """Flat indices of the first rows and, where not all are shown, of the one whose loss is largest."""
    if losses.numel() <= most:
        return list(range(losses.numel()))
    worst = int(losses.flatten().nan_to_num(nan=torch.inf).argmax())
    return list(range(most)) if worst < most else [*range(most - 1), worst]


def choose_classes(z: Tensor, wanted: Tensor | None, most: int) -> Tensor:
    """Class indices (R, K) to show of rows z (R, C): all in order, or those of the largest logits.

    Among the latter is the wanted class (R,) of each row, unless that is negative.
    """
    rows, classes = z.shape
    if classes <= most:
        return torch.arange(classes).expand(rows, classes)
    top = z.nan_to_num(nan=torch.inf).topk(most, 1).indices
    if wanted is not None:
        missing = (wanted >= 0) & ~(top == wanted.unsqueeze(1)).any(1)
        top[:, -1] = torch.where(missing, wanted, top[:, -1])
    return top


def rows_of(x: Tensor, class_dim: int, positions: Sequence[tuple[int, ...]]) -> Tensor:
    """The rows of a tensor with a class axis, (R, C), on the CPU."""
    return torch.stack([x.movedim(class_dim, -1)[position] for position in positions]).cpu()


def logits_of(tensors: LossTensors, spec: LossSpec, positions: Sequence[tuple[int, ...]]) -> Tensor:
    """The logits of some rows as they are given, or as the head makes them, (R, C)."""
    head = tensors.linear_weight
    if head is None:
        return rows_of(tensors.input, spec.class_dim, positions)
    hidden = torch.stack([tensors.input[position] for position in positions])
    return product(hidden, head, tensors.linear_bias).cpu()


def product(hidden: Tensor, head: Tensor, bias: Tensor | None) -> Tensor:
    """Logits hidden @ head.T + bias in the dtype in which the losses multiply."""
    dtype = torch.promote_types(hidden.dtype, head.dtype)
    if hidden.is_cpu and not cpu_multiplies(dtype):
        dtype = wide(dtype)
    return F.linear(hidden.to(dtype), head.to(dtype), None if bias is None else bias.to(dtype))


def transform(x: Tensor, spec: LossSpec) -> Tensor:
    """Logits as the loss sees them: scaled, then capped."""
    return transformed(x, spec.logit_scale, spec.softcap)


def pieces(tensors: LossTensors, spec: LossSpec, losses: Tensor) -> Iterator[tuple[LossTensors, Tensor]]:
    """The loss in pieces of few enough logits, each with its part of the rows' losses; all are views."""
    rows = losses.shape
    if losses.numel() * spec.num_classes <= LARGEST_PIECE or losses.numel() <= 1:
        yield tensors, losses
        return
    dim = max(range(len(rows)), key=rows.__getitem__)
    half = rows[dim] // 2

    def part(x: Tensor | None, start: int, length: int) -> Tensor | None:
        if x is None:
            return None
        along = dim + 1 if x.dim() > len(rows) and dim >= spec.class_dim else dim
        return x.narrow(along, start, length)

    for start, length in ((0, half), (half, rows[dim] - half)):
        smaller = tensors._replace(
            input=part(tensors.input, start, length),
            target=part(tensors.target, start, length),
            token_weight=part(tensors.token_weight, start, length),
        )
        yield from pieces(smaller, spec, losses.narrow(dim, start, length))
