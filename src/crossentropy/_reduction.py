"""From the losses of rows to one loss: what a row counts, and what weighs it.

    mean = Σ t_i ℓ_i / Σ t_i n_i      or   Σ t_i ℓ_i / denominator          sum = Σ t_i ℓ_i          none = t_i ℓ_i

ℓ the rows' losses · t token_weight, a row of weight t being t rows · n what a row counts: the class weight of its
label, or 1 · c = t / Σ t n the coefficient with which a row enters the loss. It is known before the losses are, so a
backend can compute their sum Σ c ℓ and its gradient at once.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from crossentropy._loss import Loss, LossTensors, rows_shape

Execute = Callable[[Loss, Tensor, bool], tuple[Tensor, Tensor]]
"""From a loss, the coefficients (1, rows) and whether to sum: Σ coefficient · rows (if so), and the rows (1, rows)."""


def _alone(total: Tensor) -> Tensor:
    """Σ t n of rows that are all here."""
    return total


def ignored(loss: Loss) -> Tensor:
    """Rows whose label is ignore_index; without storage of their own where none is."""
    spec = loss.sides[0].spec
    if spec.ignores and loss.target is not None:
        return loss.target == spec.ignore_index
    return torch.zeros((), dtype=torch.bool, device=loss.sides[0].input.device).expand(rows_shape(loss))


def picked(loss: Loss, skipped: Tensor) -> Tensor:
    """What each row counts: the class weight of its label, or 1; 0 if it is skipped."""
    spec = loss.sides[0].spec
    count = torch.ones_like(skipped, dtype=spec.dtype)
    if loss.weight is not None and loss.target is not None and not spec.probabilities:
        known = (loss.target >= 0) & (loss.target < spec.num_classes) & ~skipped
        label = torch.where(known, loss.target, 0)
        count = loss.weight.to(spec.dtype).gather(0, label.flatten()).reshape(label.shape)
    return count.masked_fill(skipped, 0.0)


def weigh(coefficient: Tensor, rows: Tensor) -> Tensor:
    """Coefficients times rows, where a coefficient of 0 annihilates what is not finite."""
    return coefficient * rows.masked_fill((coefficient == 0) & ~rows.isfinite(), 0.0)


def reduce(
    loss: Loss,
    tensors: LossTensors,
    reduction: str,
    out_dtype: torch.dtype,
    execute: Execute,
    total_of: Callable[[Tensor], Tensor] = _alone,
) -> Tensor:
    """The reduced loss, rounded once; `total_of` adds what others have to Σ t n, which a mean divides by."""
    t, total = weights(loss, tensors.token_weight)
    if reduction == "none":
        rows = execute(loss, _of_rows(t, loss), False)[1][0].clone()  # no view, which autograd lets nobody change
        return (rows if tensors.token_weight is None else weigh(t, rows)).to(out_dtype)
    if reduction == "sum":
        return execute(loss, _of_rows(t, loss), True)[0].to(out_dtype)
    if tensors.denominator is not None:
        divisor = given_divisor(t, tensors.denominator)
        return execute(loss, _of_rows(divided(t, divisor), loss), True)[0].to(out_dtype)
    loss, total = _lift(loss, total_of(total))
    empty = total == 0
    coefficient = divided(t, total.masked_fill(empty, 1.0)).masked_fill(empty, 0.0)
    return execute(loss, _of_rows(coefficient, loss), True)[0].masked_fill(empty, torch.nan).to(out_dtype)


def _lift(loss: Loss, total: Tensor) -> tuple[Loss, Tensor]:
    """Class weights that can be divided by their sum, times a power of two that a mean does not see, and that sum.

    Below smallest_normal / eps products with weights lose digits, and below 1 / max the coefficients are infinite.
    Times 2^64 the smallest sum there is, 2^-149 in float32 and 2^-1074 in float64, is above that.
    """
    if loss.weight is None:
        return loss, total
    info = torch.finfo(total.dtype)
    small = (total != 0) & (total.abs() < info.smallest_normal / info.eps)
    factor = torch.ones_like(total).masked_fill(small, 2.0**64)
    return loss._replace(weight=loss.weight.to(total.dtype) * factor), total * factor


def given_divisor(t: Tensor, denominator: Tensor | float) -> Tensor:
    """The denominator of token weights t. One of 0 is that of a batch with nothing to count: its loss is 0, not 0/0."""
    divisor = torch.as_tensor(denominator, dtype=t.dtype, device=t.device).reshape(())
    return divisor.masked_fill((t == 0).all() & (divisor == 0), 1.0)


def divided(t: Tensor, divisor: Tensor) -> Tensor:
    """Token weights over what the mean divides by. What is infinite divides to nan: a mean of 0 would go unnoticed."""
    return t / divisor.masked_fill(divisor.isinf(), torch.nan)


def weights(loss: Loss, token_weight: Tensor | None) -> tuple[Tensor, Tensor]:
    """The token weights t, one number where all are the same, and Σ t n."""
    spec = loss.sides[0].spec
    if token_weight is None and not spec.ignores:
        t = torch.ones((), dtype=spec.dtype, device=loss.sides[0].input.device)
        if loss.weight is None or spec.probabilities:
            return t, t * (math.prod(loss.shape) // spec.num_classes)
        return t, picked(loss, ignored(loss)).sum()
    skipped = ignored(loss)
    t = torch.ones_like(skipped, dtype=spec.dtype) if token_weight is None else token_weight.to(spec.dtype)
    t = t.masked_fill(skipped, 0.0)
    return t, (t * picked(loss, skipped)).sum()


def _of_rows(coefficient: Tensor, loss: Loss) -> Tensor:
    """Coefficients in the shape (1, rows)."""
    return coefficient.expand(1, *rows_shape(loss))
