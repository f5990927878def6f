"""Losses of vocabularies, sequences and batches that are spread over the ranks of torch.distributed.

    logits, head     rank r has the classes [start_r, start_r + V_r), in rank order; V_r may be uneven, or 0
    target           global class indices, the same on all ranks; or the rank's shard of class probabilities
    loss             that of the whole vocabulary, the same bits on every rank; gradients of the rank's own tensors

N rows · V classes on W ranks · V_r classes of this rank · D in_features. Every option means what it means in
`crossentropy.functional`, for all classes together: class weights are those of all V on every rank, smoothing is ε/V.

The forward sends one message of 3 numbers a row (4 with smoothing, 5 with class probabilities or for statistics). The
backward of given logits sends nothing; that of a head sums the gradient of the hidden states, once.

Ranks that were called with different labels, rows or settings have each a number that looks right. With
`validate=True`, or where `vocab_start` and `num_classes` are not both given, they compare these first, in one more message
of a few integers, and every rank raises the same error. Otherwise a checksum travels with the statistics, and where it differs
the loss and all gradients are nan on every rank. (Messages of different sizes, of other numbers of rows say, cannot be
told without asking first: torch.distributed then ends with an error, or waits.)
"""

import torch
from torch import Tensor

from crossentropy import _contract as contract
from crossentropy import functional as F
from crossentropy._contract import AnyOptions
from crossentropy._errors import ArgumentValueError
from crossentropy._logspace import wide
from crossentropy._loss import Kind, LossTensors
from crossentropy._ranks._call import Message, Resolved, Slice, reduced, share_out, statistics
from crossentropy._ranks._function import Spread, part
from crossentropy._ranks._group import AnyGroup, Group, group_of
from crossentropy._ranks._labels import shift_labels, token_denominator
from crossentropy._tensors import (
    check_floating,
    check_linear,
    check_statistics_head,
    check_tensor,
    class_axis,
)
from crossentropy._token_statistics import TokenStatistics, named
from crossentropy._values import axis

__all__ = [
    "shift_labels",
    "token_denominator",
    "vocab_parallel_cross_entropy",
    "vocab_parallel_linear_cross_entropy",
    "vocab_parallel_token_statistics",
]


def vocab_parallel_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    group: AnyGroup = None,
    vocab_start: int | None = None,
    num_classes: int | None = None,
    validate: bool = False,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    token_weight: Tensor | None = None,
    denominator: Tensor | float | None = None,
    z_loss: float = 0.0,
    softcap: float | None = None,
    logit_scale: float = 1.0,
    out_dtype: torch.dtype | None = None,
    options: AnyOptions = None,
) -> Tensor:
    """Cross entropy."""
    ranks = group_of(group)
    if ranks.size == 1:
        _check_alone(vocab_start, num_classes, check_floating("input", input).shape[class_axis(input, target)])
        return F.cross_entropy(
            input, target, weight, ignore_index=ignore_index, reduction=reduction, label_smoothing=label_smoothing,
            token_weight=token_weight, denominator=denominator, z_loss=z_loss, softcap=softcap, logit_scale=logit_scale,
            out_dtype=out_dtype, options=options, validate=validate,
        )  # fmt: skip

    def resolve(classes: int) -> Resolved:
        class_dim = class_axis(input, target)
        tensors, spec = contract.resolve(
            LossTensors(input, target, weight, token_weight, denominator), input.shape, class_dim, classes=classes,
            reduction=reduction, ignore_index=ignore_index, label_smoothing=label_smoothing, z_loss=z_loss,
            softcap=softcap, logit_scale=logit_scale, out_dtype=out_dtype, options=options,
        )  # fmt: skip
        return Resolved("cross_entropy", tensors, spec, input.shape, options, {})

    dim = 0 if check_tensor("input", input).dim() == 1 else 1
    rows = (*input.shape[:dim], *input.shape[dim + 1 :])
    message = Message("cross_entropy", rows, target, label_smoothing, input.dtype, input.device)
    return reduced(*share_out(Slice.of(ranks, vocab_start, num_classes, validate), resolve, message))


def vocab_parallel_linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    group: AnyGroup = None,
    vocab_start: int | None = None,
    num_classes: int | None = None,
    sequence_dim: int | None = None,
    reduce_input_grad: bool = True,
    comm_dtype: torch.dtype | None = None,
    validate: bool = False,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    token_weight: Tensor | None = None,
    denominator: Tensor | float | None = None,
    z_loss: float = 0.0,
    softcap: float | None = None,
    logit_scale: float = 1.0,
    out_dtype: torch.dtype | None = None,
    options: AnyOptions = None,
) -> Tensor:
    """Linear cross entropy."""
    ranks = group_of(group)
    ignored = -100 if ignore_index is None else ignore_index
    if ranks.size == 1:
        _check_alone(vocab_start, num_classes, check_floating("linear_weight", linear_weight).shape[0])
        return F.linear_cross_entropy(
            input, linear_weight, target, linear_bias=linear_bias, weight=weight, ignore_index=ignored,
            reduction=reduction, label_smoothing=label_smoothing, token_weight=token_weight, denominator=denominator,
            z_loss=z_loss, softcap=softcap, logit_scale=logit_scale, out_dtype=out_dtype, options=options,
            validate=validate,
        )  # fmt: skip

    def resolve(classes: int) -> Resolved:
        shape = check_linear(input, linear_weight, linear_bias)
        how: dict[str, object] = {"reduces": reduce_input_grad, "comm_dtype": comm_dtype}
        contract.check_dtype("comm_dtype", comm_dtype)
        if sequence_dim is not None:
            how["spread"], shape = _spread(input, target, sequence_dim, shape, ranks)
        tensors, spec = contract.resolve(
            LossTensors(input, target, weight, token_weight, denominator, linear_weight, linear_bias), shape,
            input.dim() - 1, classes=classes, reduction=reduction, ignore_index=ignored,
            label_smoothing=label_smoothing, z_loss=z_loss, softcap=softcap, logit_scale=logit_scale,
            out_dtype=out_dtype, options=options,
        )  # fmt: skip
        return Resolved("cross_entropy", tensors, spec, shape, options, how)

    message = _linear_message("cross_entropy", input, linear_weight, target, label_smoothing)
    return reduced(*share_out(Slice.of(ranks, vocab_start, num_classes, validate), resolve, message))


def vocab_parallel_token_statistics(
    input: Tensor,
    target: Tensor | None = None,
    *,
    linear_weight: Tensor | None = None,
    linear_bias: Tensor | None = None,
    dim: int = -1,
    group: AnyGroup = None,
    vocab_start: int | None = None,
    num_classes: int | None = None,
    reduce_input_grad: bool = True,
    comm_dtype: torch.dtype | None = None,
    validate: bool = False,
    ignore_index: int = -100,
    softcap: float | None = None,
    logit_scale: float = 1.0,
    out_dtype: torch.dtype | None = None,
    options: AnyOptions = None,
) -> TokenStatistics:
    """Statistics."""
    ranks = group_of(group)
    if ranks.size == 1:
        own = input.shape[axis("input", input, dim)] if linear_weight is None else linear_weight.shape[0]
        _check_alone(vocab_start, num_classes, own)
        return F.token_statistics(
            input, target, linear_weight=linear_weight, linear_bias=linear_bias, dim=dim, ignore_index=ignore_index,
            softcap=softcap, logit_scale=logit_scale, out_dtype=out_dtype, options=options, validate=validate,
        )  # fmt: skip

    def resolve(classes: int) -> Resolved:
        shape, class_dim, how = input.shape, axis("input", input, dim), {}
        if linear_weight is not None:
            shape = check_statistics_head(input, linear_weight, linear_bias, dim)
            how = {"reduces": reduce_input_grad, "comm_dtype": comm_dtype}
            contract.check_dtype("comm_dtype", comm_dtype)
        elif linear_bias is not None:
            raise ArgumentValueError("linear_bias is given and linear_weight is not: pass the head too")
        tensors, spec = contract.resolve(
            LossTensors(input, target, linear_weight=linear_weight, linear_bias=linear_bias), shape, class_dim,
            classes=classes, target_kind="none" if target is None else "indices", reduction="none",
            ignore_index=ignore_index, softcap=softcap, logit_scale=logit_scale, out_dtype=out_dtype, options=options,
        )  # fmt: skip
        return Resolved("statistics", tensors, spec, shape, options, how)

    if linear_weight is None:
        class_dim = axis("input", check_floating("input", input), dim)
        rows = (*input.shape[:class_dim], *input.shape[class_dim + 1 :])
        message = Message("statistics", rows, target, 0.0, input.dtype, input.device)
    else:
        message = _linear_message("statistics", input, linear_weight, target, 0.0)
    resolved, shares = share_out(Slice.of(ranks, vocab_start, num_classes, validate), resolve, message)
    rows, argmax = statistics(resolved, shares)
    natural = resolved.spec.out_dtype
    return named(rows, argmax, natural if out_dtype is not None else wide(natural), target)


def _check_alone(vocab_start: int | None, num_classes: int | None, classes: int) -> None:
    """One process has all classes."""
    if vocab_start not in (None, 0) or num_classes not in (None, classes):
        raise ArgumentValueError(
            f"vocab_start is {vocab_start} and num_classes {num_classes}, and the only process of the group holds the "
            f"classes [0, {classes})"
        )


def _spread(
    input: Tensor, target: object, sequence_dim: int, shape: torch.Size, ranks: Group
) -> tuple[Spread, torch.Size]:
    """How the hidden states are spread along a sequence, and the shape of the logits of all rows."""
    dim = axis("input", input, sequence_dim)
    if dim == input.dim() - 1:
        raise ArgumentValueError(
            f"sequence_dim is {sequence_dim}, the axis of the features of input {tuple(input.shape)}"
        )
    whole = check_tensor("target", target)
    if whole.dim() <= dim:
        raise ArgumentValueError(f"target has shape {tuple(whole.shape)}, expected one with axis {dim}, the sequence")
    length = whole.shape[dim]
    if input.shape[dim] != part(length, ranks):
        raise ArgumentValueError(
            f"input has {input.shape[dim]} positions along axis {dim}, expected {part(length, ranks)}, this rank's part "
            f"of the {length} of the target as torch.chunk cuts them"
        )
    sizes = list(shape)
    sizes[dim] = length
    return Spread(dim, length), torch.Size(sizes)


def _linear_message(kind: Kind, input: Tensor, head: Tensor, target: Tensor | None, label_smoothing: object) -> Message:
    hidden, weight = check_floating("input", input), check_floating("linear_weight", head)
    rows = (*hidden.shape[:-1], *weight.shape[1:-1])
    if isinstance(target, Tensor) and not target.is_floating_point():
        rows = tuple(target.shape)
    dtype = torch.promote_types(hidden.dtype, weight.dtype)
    return Message(kind, rows, target, label_smoothing, dtype, hidden.device)
