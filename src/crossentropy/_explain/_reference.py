"""torch's own functions in float64, over pieces of the input: what every explanation is checked against."""

import torch
import torch.nn.functional as F
from torch import Tensor

from crossentropy._contract import LossSpec, LossTensors
from crossentropy._explain._rows import pieces, product, transform

LOWEST = torch.finfo(torch.float64).min


def reduced(tensors: LossTensors, spec: LossSpec, losses: Tensor) -> tuple[Tensor, float]:
    """The reduced loss, and the largest difference of its rows, before token weights, from `losses`."""
    theirs = torch.empty_like(losses, dtype=torch.float64)
    for (piece, _), (_, place) in zip(pieces(tensors, spec, losses), pieces(tensors, spec, theirs)):
        place.copy_(row_losses(piece, spec))
    t = token_weights(tensors, spec)
    weighed = torch.where(t == 0, 0.0, t * theirs)
    if spec.reduction == "mean":
        count = (t * counts(tensors, spec)).sum() if tensors.denominator is None else tensors.denominator
        weighed = weighed.sum() / count
    return weighed.sum() if spec.reduction == "sum" else weighed, difference(losses, theirs)


def row_losses(tensors: LossTensors, spec: LossSpec, logits: Tensor | None = None) -> Tensor:
    """Losses of the rows before token weights, with the target's rows; from `logits` instead of the input, if given."""
    target, weight = tensors.target, tensors.weight
    assert target is not None
    if logits is None:
        head = tensors.linear_weight
        logits = tensors.input if head is None else product(tensors.input, head, tensors.linear_bias)
        logits = logits.double()
    z = transform(logits, spec)
    if spec.class_dim > 1:  # classes are the last axis; torch has them in axis 1
        z = z.movedim(-1, 1)
        target = target.movedim(-1, 1) if spec.probabilities else target
    if spec.probabilities:
        target = target.double()
        z = torch.where((target == 0) & (z == -torch.inf), LOWEST, z)  # torch multiplies 0 by −inf
    weight = None if weight is None else weight.double()
    loss = F.cross_entropy(
        z, target, weight, ignore_index=spec.ignore_index, reduction="none", label_smoothing=spec.label_smoothing
    )
    if spec.z_loss:
        lse = torch.logsumexp(z, 0 if spec.class_dim == 0 else 1)
        loss = loss + spec.z_loss * counts(tensors, spec) * lse.square()
    return loss


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


def difference(a: Tensor, b: Tensor) -> float:
    """The largest absolute difference; equal infinities and nans in the same place differ by 0."""
    if a.numel() == 0:
        return 0.0
    a, b = a.double(), b.double()
    same = (a == b) | (a.isnan() & b.isnan())
    return float(torch.where(same, 0.0, (a - b).abs()).nan_to_num(nan=torch.inf, posinf=torch.inf).max())
