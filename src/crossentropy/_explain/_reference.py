"""torch's own functions in float64, over pieces of the input: what every explanation is checked against."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from crossentropy._explain._rows import pieces, product, transform
from crossentropy._loss import LossSpec, LossTensors

LOWEST = torch.finfo(torch.float64).min


class Reference(NamedTuple):
    """torch's results, and by how much they may differ from others."""

    value: Tensor
    """The reduced loss."""
    rows_apart: float
    """The largest difference of its rows, before token weights, from those it is compared with."""
    largest: float
    """The largest of the numbers that are rounded on the way to them."""


def reduced(tensors: LossTensors, spec: LossSpec, losses: Tensor) -> Reference:
    """The reduced loss, compared with the rows `losses`.

    Rounding the logits of a row changes its lse by at most Σ q_c |z_c| ≤ |max z| + H(q) roundings, and H(q) ≤ log C.
    Logits far below the maximum, as those of classes that are masked by −1e9, do not matter.
    """
    theirs = torch.empty_like(losses, dtype=torch.float64)
    top = torch.empty_like(theirs)
    for (piece, _), (_, place), (_, tops) in zip(*(pieces(tensors, spec, rows) for rows in (losses, theirs, top))):
        z = transformed(piece, spec)
        tops.copy_(z.amax(spec.class_dim))
        place.copy_(row_losses(piece, spec, z))
    t, n = token_weights(tensors, spec), counts(tensors, spec)
    weighed = torch.where(t == 0, 0.0, t * theirs)
    value, sizes = weighed, weighed.abs()
    if spec.reduction != "none":
        value, sizes = value.sum(), sizes.sum()
    if spec.reduction == "mean":
        divisor = _divisor(tensors.denominator, t, n)
        nothing = (divisor == 0) & (tensors.denominator is None)
        value, sizes = (value / divisor).masked_fill(nothing, torch.nan), sizes / divisor
    top = torch.where(counts(tensors._replace(weight=None), spec) == 0, 0.0, top)
    largest = max(math.log(spec.num_classes), *map(largest_of, (top, theirs, sizes)))
    return Reference(value, difference(losses, theirs), largest)


def _divisor(denominator: Tensor | float | None, t: Tensor, n: Tensor) -> Tensor:
    """What the mean divides by; one that was given as 0 is 1 if there is nothing to count, as this package has it."""
    if denominator is None:
        return (t * n).sum()
    given = torch.as_tensor(denominator, dtype=t.dtype, device=t.device).reshape(())
    return given.masked_fill((given == 0) & (t == 0).all(), 1.0)


def transformed(tensors: LossTensors, spec: LossSpec) -> Tensor:
    """The logits, in float64."""
    head = tensors.linear_weight
    logits = tensors.input if head is None else product(tensors.input, head, tensors.linear_bias)
    return transform(logits.double(), spec)


def row_losses(tensors: LossTensors, spec: LossSpec, z: Tensor) -> Tensor:
    """Losses of the rows of logits z before token weights, with the target's rows."""
    target, weight = tensors.target, tensors.weight
    assert target is not None
    if spec.class_dim > 1:  # classes are the last axis; torch has them in axis 1
        z = z.movedim(-1, 1)
        target = target.movedim(-1, 1) if spec.probabilities else target
    weight = None if weight is None else weight.double()
    if spec.probabilities:
        target = target.double()
        z = _without_infinite_products(z, (1 - spec.label_smoothing) * target + spec.label_smoothing, weight)
    elif weight is not None:
        label = torch.where(target == spec.ignore_index, 0, target).unsqueeze(0 if z.dim() == 1 else 1)
        share = torch.zeros_like(z).scatter(0 if z.dim() == 1 else 1, label, 1.0) + spec.label_smoothing
        z = _without_infinite_products(z, share, weight)
    loss = F.cross_entropy(
        z, target, weight, ignore_index=spec.ignore_index, reduction="none", label_smoothing=spec.label_smoothing
    )
    if spec.z_loss:
        lse = torch.logsumexp(z, 0 if spec.class_dim == 0 else 1)
        loss = loss + spec.z_loss * counts(tensors, spec) * lse.square()
    return loss


def _without_infinite_products(z: Tensor, share: Tensor, weight: Tensor | None) -> Tensor:
    """Logits whose −inf are finite where a class weighs nothing: torch multiplies 0 by −inf."""
    dim = 0 if z.dim() == 1 else 1
    if weight is not None:
        share = share * weight.reshape(-1, *[1] * (z.dim() - 1 - dim))
    possible = (z > -torch.inf).any(dim, keepdim=True)
    return torch.where((share == 0) & (z == -torch.inf) & possible, LOWEST, z)


def counts(tensors: LossTensors, spec: LossSpec) -> Tensor:
    """What each row counts in the mean: 1, or the class weight of its label; 0 if it is ignored."""
    target = tensors.target
    assert target is not None
    if spec.probabilities:
        return torch.ones_like(target.select(spec.class_dim, 0), dtype=torch.float64)
    counted = target != spec.ignore_index
    if tensors.weight is None:
        return counted.double()
    return tensors.weight.double()[torch.where(counted, target, 0)] * counted


def token_weights(tensors: LossTensors, spec: LossSpec) -> Tensor:
    """The weight of each row; 0 if it is ignored."""
    t = torch.ones_like(counts(tensors, spec)) if tensors.token_weight is None else tensors.token_weight.double()
    return t if spec.probabilities else t * (tensors.target != spec.ignore_index)


def largest_of(x: Tensor) -> float:
    """The largest size of a finite number."""
    return float(torch.where(x.isfinite(), x, 0.0).abs().max()) if x.numel() else 0.0


def difference(a: Tensor, b: Tensor) -> float:
    """The largest absolute difference; equal infinities and nans in the same place differ by 0.

    So does an infinity in `a` from a number in `b` that is too large for the dtype of `a`.
    """
    if a.numel() == 0:
        return 0.0
    b = torch.where(a.isinf(), b.to(a.dtype).double(), b.double())
    a = a.double()
    same = (a == b) | (a.isnan() & b.isnan())
    return float(torch.where(same, 0.0, (a - b).abs()).nan_to_num(nan=torch.inf, posinf=torch.inf).max())
