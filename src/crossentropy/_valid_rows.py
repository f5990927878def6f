"""Rows that count, gathered: with a bound that is known on the host, the products of a head see no others.

    rows that count, then the others, each in their order;  of these the first `most`;  their loss is the loss

Labels stay on the device, and nobody waits for them. That more rows count than was said is an error where labels can be
read, and nan where they cannot. Gathering is differentiable, so that no derivative knows of it.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from crossentropy._errors import ArgumentValueError
from crossentropy._loss import Loss, LossTensors, Side, rows_shape
from crossentropy._reduction import ignored
from crossentropy._values import readable


def gathered(
    loss: Loss, tensors: LossTensors, most: int | None
) -> tuple[Loss, LossTensors, Callable[[Tensor, str], Tensor]]:
    """A loss of the rows that count, at most so many; its tensors; and what makes of its result that of all rows."""
    side, spec, target = loss.sides[0], loss.sides[0].spec, loss.target
    if most is None or side.weight is None or target is None or loss.kind != "cross_entropy" or spec.probabilities:
        return loss, tensors, lambda result, _: result
    count, inner = math.prod(side.input.shape[:-1]), side.weight.shape[1:-1]
    if count <= most:
        return loss, tensors, lambda result, _: result
    idle = ignored(loss).reshape(count, math.prod(inner)).all(1)
    excess = _excess(idle, most)
    chosen = idle.to(torch.uint8).argsort(stable=True)[:most]

    def some(x: Tensor) -> Tensor:
        return x.reshape(count, *inner).index_select(0, chosen)

    hidden = side.input.reshape(count, side.input.shape[-1]).index_select(0, chosen)
    shape = torch.Size((most, spec.num_classes, *inner))
    absent = None if loss.absent is None else loss.absent.reshape(count, -1).index_select(0, chosen)
    part = loss._replace(
        absent=absent,
        sides=(Side(hidden, side.weight, side.bias, replace(spec, class_dim=1)),),
        shape=shape,
        target=some(target),
    )
    weight = tensors.token_weight

    def restored(result: Tensor, reduction: str) -> Tensor:
        if excess is not None:  # a product, so that gradients are nan too
            result = result * torch.ones_like(result).masked_fill(excess, torch.nan)
        if reduction != "none":
            return result
        return result.new_zeros((count, *inner)).index_copy(0, chosen, result).reshape(rows_shape(loss))

    return part, tensors._replace(token_weight=None if weight is None else some(weight)), restored


def _excess(idle: Tensor, most: int) -> Tensor | None:
    """Whether more rows count than was said; None where it is known that there are not more."""
    count = idle.numel() - idle.sum()
    if not readable(idle):
        return count > most
    if count > most:
        raise ArgumentValueError(
            f"Options(valid_rows={most}) says how many rows count at most, and {int(count)} of {idle.numel()} do: "
            "give the largest number of labels that are not ignored in any batch"
        )
    return None
