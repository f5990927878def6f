"""Losses of vocabularies, sequences and batches that are spread over the ranks of torch.distributed.

    logits, head     rank r has the classes [start_r, start_r + V_r), in rank order; V_r may be uneven, or 0
    target           global class indices, the same on all ranks; or the rank's shard of class probabilities
    loss             that of the whole vocabulary, the same bits on every rank; gradients of the rank's own tensors

N rows · V classes on W ranks · V_r classes of this rank · D in_features. Every option means what it means in
`crossentropy.functional`, for all classes together: class weights are those of all V on every rank, smoothing is ε/V.

The forward sends one message of 3 numbers a row (4 with smoothing, 5 with class probabilities or for statistics). The
backward of given logits sends nothing; that of a head sums the gradient of the hidden states, once.

Ranks that were called with different labels, rows or settings have each a number that looks right. With
`validate=True`, or where `vocab_start` and `num_classes` are not both given, they compare these first, in one more
message of a few integers, and every rank raises the same error. Otherwise a checksum travels with the statistics, and
where it differs the loss and all gradients are nan on every rank. (Messages of different sizes, of other numbers of
rows say, cannot be told without asking first: torch.distributed then ends with an error, or waits.)
"""

import torch
from torch import Tensor

from crossentropy import _contract as contract
from crossentropy import functional as F
from crossentropy._contract import AnyOptions
from crossentropy._errors import ArgumentTypeError, ArgumentValueError, kind_of
from crossentropy._exports import Listing, listing
from crossentropy._logspace import wide
from crossentropy._loss import Kind, LossTensors, without
from crossentropy._losses.token_statistics import TokenStatistics, named
from crossentropy._ranks._call import Message, Resolved, Slice, reduced, share_out, statistics
from crossentropy._ranks._group import AnyGroup, Group, group_of
from crossentropy._ranks._hidden import Spread
from crossentropy._ranks._labels import shift_labels, token_denominator
from crossentropy._tensors import (
    check_distillation,
    check_floating,
    check_linear,
    check_same_device,
    check_statistics_head,
    check_tensor,
    class_axis,
)
from crossentropy._values import axis

__all__ = [
    "shift_labels",
    "token_denominator",
    "vocab_parallel_cross_entropy",
    "vocab_parallel_linear_cross_entropy",
    "vocab_parallel_linear_kl_div",
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
    """Cross entropy of logits whose classes are spread over ranks.

        L = cross_entropy(z, target),   z = [z_0 … z_{W−1}] of all ranks, in rank order

    The loss of one process that had all logits, on every rank, with the same bits; nobody ever has them. One message
    forward, none backward.

    Args:
        input: This rank's logits (V_r), (N, V_r) or (N, V_r, d1, …, dK); V_r may differ between ranks, or be 0.
        target: Class indices of all V, the same on all ranks, in the rows' shape; or this rank's shard of class
            probabilities, in the shape of `input`.
        weight: Class weights (V), all of them, on every rank; they get no gradient. Default: 1.
        group: The ranks that share the vocabulary: a ProcessGroup, a DeviceMesh of one dimension, or None, the default,
            for all processes. (So tensors that are whole on every rank need a group of that rank alone, or
            `crossentropy.functional`.)
        vocab_start: First class of this rank. Default: that of its place among the ranks, see num_classes.
        num_classes: V, of all ranks. With both, nothing is asked of the others first; the classes are shared out as
            torch.chunk does it, ⌈V/W⌉ each. Without, any sizes will do, and one more message of a few integers tells
            them and compares what the ranks were called with (torch.compile does not trace it: give both there).
        validate: Compare first what the ranks were called with, and look at labels and weights.
        ignore_index: A target value whose rows are left out; class indices only.
        reduction: "none", "mean" (weighted mean for class indices) or "sum".
        label_smoothing: Label smoothing ε in [0, 1]: the part of the target that is spread over the classes, ε/V on
            each.
        token_weight: Weight of each row, in the rows' shape, the same on all ranks. Default: 1.
        denominator: What "mean" divides by; see `token_denominator`. Default: the weight of this call's rows that
            count, in sum.
        z_loss: λ ≥ 0 of the added term λ · lse², which draws the logsumexp of a row to 0.
        softcap: c > 0 of the cap c · tanh(z / c). Default: none.
        logit_scale: Factor on the logits, before the cap: 1 / T for a temperature T.
        out_dtype: Dtype of the returned loss. Default: the input's, and float32 under autocast.
        options: How to execute it, a `crossentropy.Options`. Default: as it chooses.

    Returns:
        The loss, as `crossentropy.functional.cross_entropy` of all logits gives it.

    Raises:
        ValueError: A shape, device, number or reduction does not fit, or ranks disagree: the same error on all of them.
        TypeError: A type or dtype does not fit.
        IndexError: A label is out of range (where it can be read; else the loss is nan).
        NotImplementedError: A second derivative is taken.

    Examples:
        >>> logits = torch.tensor([[2.0, 0.5, 0.0], [0.0, 0.0, 3.0]])  # of one process alone: all classes
        >>> vocab_parallel_cross_entropy(logits, torch.tensor([0, 2]))
        tensor(0.2006)

    See Also:
        `vocab_parallel_linear_cross_entropy`, from hidden states; `crossentropy.functional.cross_entropy`.

    References:
        M. Shoeybi et al., Megatron-LM, 2019 (the vocabulary-parallel loss).
    """
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

    def message() -> Message:
        rows = without(input.shape, min(input.dim() - 1, 1))
        return Message("cross_entropy", rows, target, label_smoothing, input.dtype, input.device)

    return reduced(*share_out(Slice(ranks, vocab_start, num_classes, validate), resolve, message))


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
    """Cross entropy of a linear head whose classes are spread over ranks.

        L = cross_entropy(input @ Wᵀ + b, target),   W = [W_0; …; W_{W−1}] of all ranks, in rank order

    The logits of this rank's classes are kept for backward if all of them fit into `options.memory_budget` (by default
    64 MiB on a CPU, 512 MB elsewhere); else they are made in pieces, and made again. One message forward; backward, the
    gradient of the hidden states is summed over ranks, bucket by bucket behind the products.

    Args:
        input: Hidden states (…, D), the same on all ranks; or with `sequence_dim` this rank's part of them.
        linear_weight: This rank's part of the head (V_r, D), or (V_r, d1, …, dK, D). Its gradient needs no sum.
        target: Class indices of all V in the rows' shape, the same on all ranks; or this rank's shard of class
            probabilities, in the shape of its logits.
        linear_bias: This rank's part of the bias (V_r) or (V_r, d1, …, dK). Default: none.
        weight: Class weights (V), all of them, on every rank; they get no gradient. Default: 1.
        group: The ranks that share the vocabulary: a ProcessGroup, a DeviceMesh of one dimension, or None, the default,
            for all processes. (So tensors that are whole on every rank need a group of that rank alone, or
            `crossentropy.functional`.)
        vocab_start: First class of this rank. Default: that of its place among the ranks, see num_classes.
        num_classes: V, of all ranks. With both, nothing is asked of the others first; the classes are shared out as
            torch.chunk does it, ⌈V/W⌉ each. Without, any sizes will do, and one more message of a few integers tells
            them and compares what the ranks were called with (torch.compile does not trace it: give both there).
        sequence_dim: The axis of `input` along which ranks have the parts that torch.chunk cuts; `target` covers them
            all. They are gathered, and kept for backward; the gradient is that of this rank's part, complete, from one
            reduce-scatter, or where it is large from sums of pieces, for the ranks whose rows they are. Default: each
            rank has the whole `input`.
        reduce_input_grad: Whether the gradient of `input` is complete on each rank, the sum over them. False: this
            rank's part of it, for who sums it himself.
        comm_dtype: Dtype in which that sum travels. Default: float32 for half precision, which is rounded once.
        validate: Compare first what the ranks were called with, and look at labels and weights.
        reduction: "none", "mean" (weighted mean for class indices) or "sum".
        ignore_index: A target value whose rows are left out; class indices only. None is -100.
        label_smoothing: Label smoothing ε in [0, 1]: the part of the target that is spread over the classes, ε/V on
            each.
        token_weight: Weight of each row, in the rows' shape, the same on all ranks. Default: 1.
        denominator: What "mean" divides by; see `token_denominator`. Default: the weight of this call's rows that
            count, in sum.
        z_loss: λ ≥ 0 of the added term λ · lse², which draws the logsumexp of a row to 0.
        softcap: c > 0 of the cap c · tanh(z / c). Default: none.
        logit_scale: Factor on the logits, before the cap: 1 / T for a temperature T.
        out_dtype: Dtype of the returned loss. Default: the input's, and float32 under autocast.
        options: How to execute it, a `crossentropy.Options`. Default: as it chooses.

    Returns:
        The loss, as `crossentropy.functional.linear_cross_entropy` with the whole head gives it.

    Raises:
        ValueError: A shape, device, number or reduction does not fit, or ranks disagree: the same error on all of them.
        TypeError: A type or dtype does not fit.
        IndexError: A label is out of range (where it can be read; else the loss is nan).
        NotImplementedError: A second derivative is taken.

    Examples:
        >>> hidden, head = torch.eye(2), torch.tensor([[2.0, 0.0], [0.5, 0.0], [0.0, 3.0]])
        >>> vocab_parallel_linear_cross_entropy(hidden, head, torch.tensor([0, 2]))  # one process alone
        tensor(0.2006)

    See Also:
        `vocab_parallel_cross_entropy`; `crossentropy.functional.linear_cross_entropy`.

    References:
        V. Korthikanti et al., Reducing Activation Recomputation, 2022 (sequence parallelism).
    """
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
        _check_sums(reduce_input_grad, comm_dtype)
        if sequence_dim is not None:
            how["spread"], shape = _spread(input, target, sequence_dim, shape, ranks)
        tensors, spec = contract.resolve(
            LossTensors(input, target, weight, token_weight, denominator, linear_weight, linear_bias), shape,
            input.dim() - 1, classes=classes, reduction=reduction, ignore_index=ignored,
            label_smoothing=label_smoothing, z_loss=z_loss, softcap=softcap, logit_scale=logit_scale,
            out_dtype=out_dtype, options=options,
        )  # fmt: skip
        return Resolved("cross_entropy", tensors, spec, shape, options, how)

    def message() -> Message:
        known = _linear_message("cross_entropy", input, linear_weight, target, label_smoothing)
        if sequence_dim is None:
            return known
        hidden = _part_of_nothing(input, target, sequence_dim, ranks)
        return known._replace(rows=tuple(target.shape), hidden=hidden)

    return reduced(*share_out(Slice(ranks, vocab_start, num_classes, validate), resolve, message))


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
    """Log-probability, entropy, logsumexp and argmax of rows whose classes are spread over ranks.

        log_prob = z_y − lse(z)      entropy = −Σ p log p,  p = softmax(z)      logsumexp = lse(z)

    What policy gradients need of each token under tensor parallelism, all but argmax differentiable. One message.

    Args:
        input: This rank's logits, (…, V_r, …), the classes along `dim`; with a head, hidden states (…, D).
        target: Class indices of all V in the rows' shape, the same on all ranks. Without them log_prob is None.
        linear_weight: This rank's part of the head (V_r, D); without it `input` holds logits.
        linear_bias: This rank's part of the bias (V_r). Default: none.
        dim: The class axis; the last by default, and always with a head.
        group: The ranks that share the vocabulary: a ProcessGroup, a DeviceMesh of one dimension, or None, the default,
            for all processes. (So tensors that are whole on every rank need a group of that rank alone, or
            `crossentropy.functional`.)
        vocab_start: First class of this rank. Default: that of its place among the ranks, see num_classes.
        num_classes: V, of all ranks. With both, nothing is asked of the others first; the classes are shared out as
            torch.chunk does it, ⌈V/W⌉ each. Without, any sizes will do, and one more message of a few integers tells
            them and compares what the ranks were called with (torch.compile does not trace it: give both there).
        reduce_input_grad: Whether the gradient of `input` is complete on each rank, the sum over them. False: this
            rank's part of it, for who sums it himself.
        comm_dtype: Dtype in which that sum travels. Default: float32 for half precision, which is rounded once.
        validate: Compare first what the ranks were called with, and look at labels and weights.
        ignore_index: A target value whose rows have log_prob 0.
        softcap: c > 0 of the cap c · tanh(z / c). Default: none.
        logit_scale: Factor on the logits, before the cap; 1/T for a temperature T.
        out_dtype: Dtype of the statistics. Default: float32 for half precision; else the input's.
        options: How to execute it, a `crossentropy.Options`. Default: as it chooses.

    Returns:
        `TokenStatistics(log_prob, entropy, logsumexp, argmax)` of all classes, each in the rows' shape.

    Raises:
        ValueError: A shape, device, number or reduction does not fit, or ranks disagree: the same error on all of them.
        TypeError: A type or dtype does not fit.
        IndexError: A label is out of range (where it can be read; else the loss is nan).
        NotImplementedError: A second derivative is taken.

    Examples:
        >>> found = vocab_parallel_token_statistics(torch.tensor([[2.0, 0.0], [1.0, 1.0]]), torch.tensor([0, 1]))
        >>> found.log_prob, found.entropy  # one process alone
        (tensor([-0.1269, -0.6931]), tensor([0.3653, 0.6931]))

    See Also:
        `crossentropy.functional.token_statistics`.
    """
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
            _check_sums(reduce_input_grad, comm_dtype)
        elif linear_bias is not None:
            raise ArgumentValueError("linear_bias is given and linear_weight is not: pass the head too")
        tensors, spec = contract.resolve(
            LossTensors(input, target, linear_weight=linear_weight, linear_bias=linear_bias), shape, class_dim,
            classes=classes, target_kind="none" if target is None else "indices", reduction="none",
            ignore_index=ignore_index, softcap=softcap, logit_scale=logit_scale, out_dtype=out_dtype, options=options,
        )  # fmt: skip
        return Resolved("statistics", tensors, spec, shape, options, how)

    def message() -> Message:
        if linear_weight is not None:
            return _linear_message("statistics", input, linear_weight, target, 0.0)
        rows = without(input.shape, axis("input", input, dim))
        return Message("statistics", rows, target, 0.0, input.dtype, input.device)

    resolved, shares = share_out(Slice(ranks, vocab_start, num_classes, validate), resolve, message)
    rows, argmax = statistics(resolved, shares)
    natural = resolved.spec.out_dtype
    return named(rows, argmax, natural if out_dtype is not None else wide(natural), target)


def vocab_parallel_linear_kl_div(
    input: Tensor,
    linear_weight: Tensor,
    teacher_input: Tensor,
    teacher_weight: Tensor,
    *,
    linear_bias: Tensor | None = None,
    teacher_bias: Tensor | None = None,
    group: AnyGroup = None,
    vocab_start: int | None = None,
    num_classes: int | None = None,
    reduce_input_grad: bool = True,
    comm_dtype: torch.dtype | None = None,
    validate: bool = False,
    reduction: str = "mean",
    token_weight: Tensor | None = None,
    denominator: Tensor | float | None = None,
    temperature: float = 1.0,
    softcap: float | None = None,
    teacher_softcap: float | None = None,
    logit_scale: float = 1.0,
    teacher_logit_scale: float = 1.0,
    out_dtype: torch.dtype | None = None,
    options: AnyOptions = None,
) -> Tensor:
    """Distillation loss of a student's head against a teacher's, both spread over ranks alike.

        L_i = KL(softmax(z'_i / T) ‖ softmax(z_i / T))      z = h Wᵀ + b of the student, z' of the teacher

    One message of 4 numbers a row, and one of 2 that each rank's classes add to the divergence.

    Args:
        input: Student's hidden states (…, D), the same on all ranks.
        linear_weight: This rank's part of the student's head (V_r, D).
        teacher_input: Teacher's hidden states (…, D'), the same on all ranks.
        teacher_weight: This rank's part of the teacher's head (V_r, D'): the same classes.
        linear_bias: This rank's part of the student's bias (V_r). Default: none.
        teacher_bias: This rank's part of the teacher's bias (V_r). Default: none.
        group: The ranks that share the vocabulary: a ProcessGroup, a DeviceMesh of one dimension, or None, the default,
            for all processes. (So tensors that are whole on every rank need a group of that rank alone, or
            `crossentropy.functional`.)
        vocab_start: First class of this rank. Default: that of its place among the ranks, see num_classes.
        num_classes: V, of all ranks. With both, nothing is asked of the others first; the classes are shared out as
            torch.chunk does it, ⌈V/W⌉ each. Without, any sizes will do, and one more message of a few integers tells
            them and compares what the ranks were called with (torch.compile does not trace it: give both there).
        reduce_input_grad: Whether the gradient of `input` is complete on each rank, the sum over them. False: this
            rank's part of it, for who sums it himself.
        comm_dtype: Dtype in which that sum travels. Default: float32 for half precision, which is rounded once.
        validate: Compare first what the ranks were called with, and look at labels and weights.
        reduction: "none", "mean" (over rows, weighted) or "sum".
        token_weight: Weight of each row (…), the same on all ranks. Default: 1.
        denominator: What "mean" divides by; a number or a tensor of one element. Default: the weight of the rows that
            count, in sum.
        temperature: T > 0, dividing both logits after scale and cap.
        softcap: Student's cap c > 0: z becomes c · tanh(z / c). Default: none.
        teacher_softcap: Teacher's cap, alike. Default: none.
        logit_scale: Factor on the student's logits, before the cap.
        teacher_logit_scale: Factor on the teacher's logits.
        out_dtype: Dtype of the returned loss. Default: the input's, and float32 under autocast.
        options: How to execute it, a `crossentropy.Options`. Default: as it chooses.

    Returns:
        The loss, as `crossentropy.functional.linear_kl_div` with both whole heads gives it.

    Raises:
        ValueError: A shape, device, number or reduction does not fit, or ranks disagree: the same error on all of them.
        TypeError: A type or dtype does not fit.
        NotImplementedError: A second derivative is taken.

    Examples:
        >>> hidden, head = torch.eye(2), torch.tensor([[2.0, 0.0], [0.5, 0.0], [0.0, 3.0]])
        >>> vocab_parallel_linear_kl_div(hidden, head, hidden, 2 * head)  # one process alone
        tensor(0.1057)

    See Also:
        `crossentropy.functional.linear_kl_div`.

    References:
        G. Hinton, O. Vinyals, J. Dean, Distilling the Knowledge in a Neural Network, 2015.
    """
    ranks = group_of(group)
    if ranks.size == 1:
        _check_alone(vocab_start, num_classes, check_floating("linear_weight", linear_weight).shape[0])
        return F.linear_kl_div(
            input, linear_weight, teacher_input, teacher_weight, linear_bias=linear_bias, teacher_bias=teacher_bias,
            reduction=reduction, token_weight=token_weight, denominator=denominator, temperature=temperature,
            softcap=softcap, teacher_softcap=teacher_softcap, logit_scale=logit_scale,
            teacher_logit_scale=teacher_logit_scale, out_dtype=out_dtype, options=options, validate=validate,
        )  # fmt: skip

    def resolve(classes: int) -> Resolved:
        shape = check_linear(input, linear_weight, linear_bias)
        teacher_names = ("teacher_input", "teacher_weight", "teacher_bias")
        teacher_shape = check_linear(teacher_input, teacher_weight, teacher_bias, names=teacher_names)
        check_distillation(shape, teacher_shape, linear_weight)
        check_same_device(input=input, teacher_input=teacher_input)
        _check_sums(reduce_input_grad, comm_dtype)
        tensors, spec = contract.resolve(
            LossTensors(input, None, None, token_weight, denominator, linear_weight, linear_bias), shape,
            input.dim() - 1, classes=classes, target_kind="none", reduction=reduction, softcap=softcap,
            logit_scale=logit_scale, temperature=temperature, out_dtype=out_dtype, options=options,
        )  # fmt: skip
        teacher = contract.resolve(
            LossTensors(teacher_input, linear_weight=teacher_weight, linear_bias=teacher_bias), teacher_shape,
            input.dim() - 1, classes=classes, prefix="teacher_", target_kind="none", softcap=teacher_softcap,
            logit_scale=teacher_logit_scale, temperature=temperature,
        )  # fmt: skip
        how: dict[str, object] = {"reduces": reduce_input_grad, "comm_dtype": comm_dtype}
        return Resolved("divergence", tensors, spec, shape, options, how, teacher)

    def message() -> Message:
        alone = _linear_message("divergence", input, linear_weight, None, 0.0)
        return alone._replace(dtype=torch.promote_types(alone.dtype, teacher_input.dtype))

    return reduced(*share_out(Slice(ranks, vocab_start, num_classes, validate), resolve, message))


def _check_sums(reduce_input_grad: object, comm_dtype: object) -> None:
    """How the gradient of hidden states is summed."""
    if not isinstance(reduce_input_grad, bool):
        raise ArgumentTypeError(f"reduce_input_grad is {kind_of(reduce_input_grad)}, expected True or False")
    contract.check_dtype("comm_dtype", comm_dtype)
    if isinstance(comm_dtype, torch.dtype) and comm_dtype.itemsize < 2:
        raise ArgumentTypeError(f"comm_dtype is {comm_dtype}, expected float16, bfloat16, float32 or float64")


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
    if isinstance(sequence_dim, bool):
        raise ArgumentTypeError(f"sequence_dim is {sequence_dim}, expected an axis of input")
    dim = axis("input", input, sequence_dim)
    if dim == input.dim() - 1:
        raise ArgumentValueError(
            f"sequence_dim is {sequence_dim}, the axis of the features of input {tuple(input.shape)}"
        )
    whole = check_tensor("target", target)
    if whole.dim() <= dim:
        raise ArgumentValueError(f"target has shape {tuple(whole.shape)}, expected one with axis {dim}, the sequence")
    length = whole.shape[dim]
    spread = Spread(dim, length)
    if input.shape[dim] != spread.part(ranks):
        raise ArgumentValueError(
            f"input has {input.shape[dim]} positions along axis {dim}, expected {spread.part(ranks)}: of the {length} "
            "that the target has, this rank's part as torch.chunk cuts them"
        )
    sizes = list(shape)
    sizes[dim] = length
    return spread, torch.Size(sizes)


def _linear_message(kind: Kind, input: Tensor, head: Tensor, target: Tensor | None, label_smoothing: object) -> Message:
    rows = (*input.shape[:-1], *head.shape[1:-1])
    dtype = torch.promote_types(input.dtype, head.dtype)
    return Message(kind, rows, target, label_smoothing, dtype, input.device)


def _part_of_nothing(input: Tensor, target: Tensor, sequence_dim: int, ranks: Group) -> Tensor:
    """What a rank sends in place of its part of a sequence, when its arguments are wrong."""
    dim = axis("input", input, sequence_dim)
    others = [size for i, size in enumerate(input.shape) if i != dim]
    return input.detach().new_zeros(-(-target.shape[dim] // ranks.size), *others)


__dir__: Listing = listing(__name__)
