"""A loss with the statistics of its rows: `return_statistics=True`.

Against labels, without smoothing and z-loss, a loss is Σ c_i w_y (−log p_y): a sum of what `token_statistics` has,
which computes all of it, and the gradient, in the same pass. For other losses the statistics are a pass of their own.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from crossentropy import _autograd, _execution
from crossentropy import _contract as contract
from crossentropy._contract import AnyOptions
from crossentropy._dispatch import Backend, select
from crossentropy._errors import ArgumentValueError
from crossentropy._logspace import product
from crossentropy._loss import Loss, LossSpec, LossTensors
from crossentropy._reduction import ignored, picked, reduce, weigh
from crossentropy._sharding import is_distributed


class LossStatistics(NamedTuple):
    """What `return_statistics=True` tells of each row, beside the loss; in the rows' shape, detached."""

    log_prob: Tensor | None
    """log softmax(z)_y of the label, 0 in ignored rows; None for class probabilities. In nats."""
    entropy: Tensor
    """Entropy of softmax(z), in nats."""
    logsumexp: Tensor
    """log Σ exp(z)."""
    z_loss: Tensor
    """λ n lse², what the z-loss adds to the row: n the class weight of its label, or 1; 0 in ignored rows."""
    argmax: Tensor
    """Index of the largest logit, the first of equal ones, int64."""
    correct: Tensor | None
    """Whether that is the label, bool, False in ignored rows; None for class probabilities."""


def observed(loss: Loss, tensors: LossTensors, spec: LossSpec, options: AnyOptions) -> tuple[Tensor, LossStatistics]:
    """The reduced loss, and the statistics of its rows."""
    if is_distributed(tensors.input):
        raise ArgumentValueError("return_statistics is not for DTensors: token_statistics takes them")
    if contract.valid_rows(options) is not None:
        raise ArgumentValueError("return_statistics has all rows, and Options(valid_rows=…) leaves some out: drop one")
    about = loss._replace(
        kind="statistics",
        target=None if spec.probabilities else loss.target,
        weight=None,
        sides=tuple(side._replace(spec=_plain(side.spec)) for side in loss.sides),
    )
    found: list[tuple[Tensor, Tensor]] = []
    if _is_of_log_prob(loss, spec):
        backend = select(about, contract.backend(options)).backend
        run = _of_statistics(backend, about, found)
        result = reduce(loss, tensors, spec.reduction, spec.out_dtype, run)
    else:
        result = _execution.reduced(loss, tensors, spec, options)
        with torch.no_grad():
            rows, argmax = _execution.statistics(about, options)
            found.append((torch.stack(tuple(rows)), argmax))
    return result, _named(*found[0], loss, spec)


def _plain(spec: LossSpec) -> LossSpec:
    """The spec of the logits' statistics alone."""
    return replace(spec, probabilities=False, label_smoothing=0.0, z_loss=0.0)


def _is_of_log_prob(loss: Loss, spec: LossSpec) -> bool:
    """Whether the loss is a weighted sum of log-probabilities of labels."""
    learned = loss.weight is not None and loss.weight.requires_grad
    return not (spec.probabilities or spec.label_smoothing or spec.z_loss or learned)


def _of_statistics(
    backend: Backend, about: Loss, found: list[tuple[Tensor, Tensor]]
) -> Callable[[Loss, Tensor, bool], tuple[Tensor, Tensor]]:
    """What executes a loss by its statistics, which are left in `found`."""

    def execute(loss: Loss, coefficient: Tensor, summed: bool) -> tuple[Tensor, Tensor]:
        skipped = ignored(loss)
        count = picked(loss, skipped)
        # of log-probability, entropy and logsumexp
        coefficients = torch.cat([-coefficient * count, torch.zeros_like(count).expand(2, *count.shape)])
        total, rows, argmax = _autograd.observed(backend, about, coefficients, summed)
        found.append((rows.detach(), argmax))
        return total, weigh(-count, rows[0]).masked_fill(skipped, 0.0).unsqueeze(0)

    return execute


def _named(rows: Tensor, argmax: Tensor, loss: Loss, spec: LossSpec) -> LossStatistics:
    log_prob, entropy, logsumexp = (row.clone() for row in rows.detach())
    skipped = ignored(loss)
    z_loss = product(picked(loss, skipped), (spec.z_loss**0.5 * logsumexp).square()).detach()
    if spec.probabilities or loss.target is None:
        return LossStatistics(None, entropy, logsumexp, z_loss, argmax, None)
    correct = (argmax == loss.target) & ~skipped
    return LossStatistics(log_prob, entropy, logsumexp, z_loss, argmax, correct)
