"""Losses of rows by differentiable statistics: how their tensors are checked, and how rows become one loss."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from crossentropy import _contract as contract
from crossentropy import _execution
from crossentropy._contract import AnyOptions, Ignored
from crossentropy._errors import ArgumentValueError
from crossentropy._logspace import product, wide
from crossentropy._loss import Loss, LossSpec, LossTensors, rows_shape
from crossentropy._losses._classes import masked
from crossentropy._losses.token_statistics import TokenStatistics
from crossentropy._reduction import ignored, picked, reduce, weigh
from crossentropy._sharding import is_distributed
from crossentropy._tensors import check_floating, check_statistics_head, class_axis
from crossentropy._values import axis


class Rows(NamedTuple):
    """Rows of logits, given or made by a head, before anything is computed of them."""

    tensors: LossTensors
    spec: LossSpec
    loss: Loss
    options: AnyOptions

    def silent(self) -> Tensor:
        """Rows that are ignored, or have a token weight of 0: nothing of them reaches the loss."""
        skipped, t = ignored(self.loss), self.tensors.token_weight
        return skipped if t is None else skipped | (t == 0)

    def statistics(self, absent: Tensor | None = None) -> TokenStatistics:
        """Their statistics, in the accumulation dtype; of a head without the absent classes."""
        loss = self.loss
        if absent is not None:
            side = loss.sides[0]
            loss = loss._replace(absent=absent, sides=(side._replace(spec=replace(side.spec, masked=True)),))
        rows, argmax = _execution.statistics(loss, self.options)
        log_prob, entropy, logsumexp = rows
        return TokenStatistics(None if loss.target is None else log_prob, entropy, logsumexp, argmax)

    def heard(self) -> "Rows":
        """The same, with hidden states of 0 in silent rows, so that no product sees what is there."""
        t, head = self.tensors.token_weight, self.tensors.linear_weight
        assert head is not None
        if t is None and not (self.loss.target is not None and self.spec.ignores):
            return self
        return self.of(self.tensors.input.masked_fill(self.silent().unsqueeze(-1), 0.0), head)

    def of(self, input: Tensor, head: Tensor) -> "Rows":
        """The same rows, of other hidden states and another head."""
        tensors = self.tensors._replace(input=input, linear_weight=head)
        side = self.loss.sides[0]._replace(input=input, weight=head)
        return self._replace(tensors=tensors, loss=self.loss._replace(sides=(side,)))

    def reduced(self, rows: Tensor) -> Tensor:
        """The reduced loss of differentiable rows, class weights to come."""

        def execute(loss: Loss, coefficient: Tensor, summed: bool) -> tuple[Tensor, Tensor]:
            skipped = ignored(loss)
            weighted = rows.masked_fill(skipped, 0.0)
            if loss.weight is not None:
                weighted = product(picked(loss, skipped), weighted)
            weighted = weighted.unsqueeze(0)
            return weigh(coefficient, weighted).sum() if summed else rows.new_zeros(()), weighted

        return reduce(self.loss, self.tensors, self.spec.reduction, self.spec.out_dtype, execute)


def resolve(
    what: str,
    tensors: LossTensors,
    *,
    dim: int | None = None,
    reduction: str = "mean",
    ignore_index: Ignored = -100,
    softcap: float | None = None,
    logit_scale: float = 1.0,
    temperature: float = 1.0,
    class_mask: Tensor | None = None,
    out_dtype: torch.dtype | None = None,
    options: AnyOptions = None,
    validate: bool = False,
) -> Rows:
    """Checked rows: of logits, whose classes are axis 1 or `dim`; or of hidden states (…, D) and a head (C, D)."""
    input, target = tensors.input, tensors.target
    check_floating("input", input)
    if tensors.linear_weight is not None:
        shape = check_statistics_head(input, tensors.linear_weight, tensors.linear_bias, -1)
        class_dim = input.dim() - 1
    elif tensors.linear_bias is not None:
        raise ArgumentValueError("linear_bias is given and linear_weight is not: pass the head too")
    else:
        shape, class_dim = input.shape, class_axis(input, target) if dim is None else axis("input", input, dim)
    if any(is_distributed(x) for x in tensors if isinstance(x, Tensor)):
        raise ArgumentValueError(f"{what} is not for DTensors: make it of token_statistics, which takes them")
    tensors, spec = contract.resolve(
        tensors,
        shape,
        class_dim,
        target_kind="none" if target is None else "indices",
        reduction=reduction,
        ignore_index=ignore_index,
        softcap=softcap,
        logit_scale=logit_scale,
        temperature=temperature,
        out_dtype=out_dtype,
        options=options,
    )
    tensors, spec, shape, absent = masked(tensors, spec, shape, class_mask)
    loss = contract.make_loss("statistics", shape, ((tensors, spec),), options, absent)
    if validate:
        _execution.check(loss, tensors, spec)
    return Rows(tensors, spec, loss, options)


def of_statistics(function: Callable[[TokenStatistics], Tensor], rows: Rows) -> Tensor:
    """The reduced loss that a function makes of each row's statistics."""
    found, silent = rows.statistics(), rows.silent()
    # a function may have no derivative at what stands for a silent row, and 0 · nan is nan
    log_prob, entropy, logsumexp = (None if x is None else torch.where(silent, _FILLER, x) for x in found[:3])
    if log_prob is not None:
        log_prob = log_prob.masked_fill(silent, -1.0)
    made = function(TokenStatistics(log_prob, entropy, logsumexp, found.argmax))  # pyright: ignore[reportArgumentType]
    shape = rows_shape(rows.loss)
    if not isinstance(made, Tensor) or made.shape != shape or not made.is_floating_point():
        came = f"shape {tuple(made.shape)}, {made.dtype}" if isinstance(made, Tensor) else type(made).__name__
        raise ArgumentValueError(
            f"function returned {came}, expected a floating tensor of the rows' shape {tuple(shape)}: one loss for "
            "each row, before any reduction"
        )
    return rows.reduced(made.to(wide(made.dtype)))


_FILLER = 1.0
"""Stands for the statistics of a silent row: what any function of them has a derivative at."""
