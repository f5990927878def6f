"""Distillation from the K most probable classes of a teacher, all that is stored of it.

    p_1 … p_K      the teacher's probabilities of classes k_1 … k_K;  p_rest = 1 − Σ p_j
    q_1 … q_K      the student's;                                     q_rest = Σ of its other classes
    tail "rest"    KL of the two distributions over K + 1 classes: ≤ the whole divergence, and equal to it at K = C
    tail "none"    Σ_j p_j (log p_j − log q_j), of the K classes alone: no divergence, but what some trainers minimise

q_rest is a sum of the student's other classes, by their logsumexp: not 1 − Σ q_j, of which nothing is left where the
student is sure. With a head only K logits of a row are computed apart; the others are summed in chunks.
"""

from typing import Literal

import torch
from torch import Tensor

from crossentropy._contract import AnyOptions
from crossentropy._errors import ArgumentIndexError, ArgumentTypeError, ArgumentValueError, kind_of
from crossentropy._keywords import overridable
from crossentropy._logspace import log_softmax, logsumexp, product, transform
from crossentropy._loss import LossSpec, LossTensors, rows_shape
from crossentropy._losses._chosen import chosen_logits
from crossentropy._losses._rows import Rows, resolve
from crossentropy._tensors import INTEGERS
from crossentropy._values import first, position, readable
from crossentropy.information import kl_divergence

Tail = Literal["rest", "none"]


@overridable
def topk_kl_div_with_logits(
    input: Tensor,
    teacher_indices: Tensor,
    teacher_log_probs: Tensor,
    *,
    dim: int = -1,
    tail: Tail = "rest",
    reduction: str = "mean",
    token_weight: Tensor | None = None,
    denominator: Tensor | float | None = None,
    temperature: float = 1.0,
    softcap: float | None = None,
    logit_scale: float = 1.0,
    out_dtype: torch.dtype | None = None,
    options: AnyOptions = None,
    validate: bool = False,
) -> Tensor:
    """Divergence of a student's logits from the K most probable classes of a teacher.

        L_i = Σ_j p_ij (log p_ij − log q_ij) + p_rest (log p_rest − log q_rest)

    Of a teacher with a large vocabulary one stores the classes that matter, and their log-probabilities; what is left
    of its probability is one class more, which the student's other classes have together.

    Args:
        input: Student's logits (…, C, …), the classes along `dim`.
        teacher_indices: Classes (…, K, …), of any integer dtype; −1 for none. No class twice.
        teacher_log_probs: Their log-probabilities in the whole vocabulary, in the same shape; at `temperature`.
        dim: The class axis; the last by default, as language models have it.
        tail: "rest", or "none" to leave the other classes out of the sum.
        reduction: "none", "mean" (over rows, weighted) or "sum".
        token_weight: Weight of each row, in the rows' shape; 0 leaves a row out. Default: 1.
        denominator: What "mean" divides by; a number or a tensor of one element. Default: the weight of the rows that
            count, in sum.
        temperature: T > 0, dividing the student's logits after scale and cap.
        softcap: c > 0 of the cap c · tanh(z / c). Default: none.
        logit_scale: Factor on the logits, before the cap.
        out_dtype: Dtype of the returned loss. Default: the input's, and float32 under autocast.
        options: How to execute it, a `crossentropy.Options`. Default: as it chooses.
        validate: Look at the values: logits, weights; whether a class comes twice.

    Returns:
        The loss: a scalar, or the rows' shape for "none"; in the input's dtype (float32 under autocast), or out_dtype.
        In nats.

    Raises:
        ValueError: A shape, device or number does not fit, or a row's probabilities sum to more than 1.
        TypeError: A type or dtype does not fit.
        IndexError: A class is out of range (where it can be read; else the row is nan).

    Examples:
        >>> logits = torch.tensor([[2.0, 0.5, 0.0]])
        >>> topk_kl_div_with_logits(logits, torch.tensor([[0, 1]]), torch.tensor([[0.7, 0.2]]).log())
        tensor(0.0045)

    See Also:
        `linear_topk_kl_div`, from hidden states; `kl_div`, against the whole distribution.

    References:
        G. Hinton, O. Vinyals, J. Dean, Distilling the Knowledge in a Neural Network, 2015.
    """
    check_tail(tail)
    rows = resolve(
        "topk_kl_div_with_logits",
        LossTensors(input, token_weight=token_weight, denominator=denominator),
        dim=dim,
        labelled=False,
        reduction=reduction,
        softcap=softcap,
        logit_scale=logit_scale,
        temperature=temperature,
        out_dtype=out_dtype,
        options=options,
        validate=validate,
    )
    spec = rows.spec
    index, log_p = _teacher(rows, teacher_indices, teacher_log_probs, spec.class_dim, validate)
    quiet = (
        rows.tensors.input if token_weight is None else input.masked_fill(rows.silent().unsqueeze(spec.class_dim), 0)
    )
    z = transform(quiet.to(spec.dtype), spec.logit_scale, spec.softcap, spec.temperature)
    z = z.movedim(spec.class_dim, -1)
    chosen = z.gather(-1, index.clamp(min=0)).masked_fill(index < 0, -torch.inf)
    room = torch.zeros((*z.shape[:-1], z.shape[-1] + 1), dtype=torch.bool, device=z.device)
    taken = room.scatter(-1, torch.where(index < 0, z.shape[-1], index), True)[..., :-1]
    others = logsumexp(z.masked_fill(taken, -torch.inf), -1)
    return rows.reduced(_divergence(log_p, chosen, others, _all_taken(index, spec), tail))


@overridable
def linear_topk_kl_div(
    input: Tensor,
    linear_weight: Tensor,
    teacher_indices: Tensor,
    teacher_log_probs: Tensor,
    *,
    linear_bias: Tensor | None = None,
    tail: Tail = "rest",
    reduction: str = "mean",
    token_weight: Tensor | None = None,
    denominator: Tensor | float | None = None,
    temperature: float = 1.0,
    softcap: float | None = None,
    logit_scale: float = 1.0,
    out_dtype: torch.dtype | None = None,
    options: AnyOptions = None,
    validate: bool = False,
) -> Tensor:
    """Divergence of a student's linear head from the K most probable classes of a teacher.

        L_i = topk_kl_div_with_logits(input @ linear_weight.T + linear_bias, teacher_indices, teacher_log_probs)

    The student's logits are never built: K of a row are computed apart, in float32, the others summed in chunks.

    Args:
        input: Student's hidden states (…, D).
        linear_weight: Student's head (C, D).
        teacher_indices: Classes (…, K), of any integer dtype; −1 for none. No class twice.
        teacher_log_probs: Their log-probabilities in the whole vocabulary, (…, K), at `temperature`.
        linear_bias: Student's bias (C). Default: none.
        tail: "rest", or "none" to leave the other classes out of the sum.
        reduction: "none", "mean" (over rows, weighted) or "sum".
        token_weight: Weight of each row (…); 0 leaves a row out. Default: 1.
        denominator: What "mean" divides by; a number or a tensor of one element. Default: the weight of the rows that
            count, in sum.
        temperature: T > 0, dividing the student's logits after scale and cap.
        softcap: c > 0 of the cap c · tanh(z / c). Default: none.
        logit_scale: Factor on the logits, before the cap.
        out_dtype: Dtype of the returned loss. Default: the input's, and float32 under autocast.
        options: How to execute it, a `crossentropy.Options`. Default: as it chooses.
        validate: Look at the values: hidden states, head, logits (in pieces), weights; whether a class comes twice.

    Returns:
        The loss: a scalar, or (…) for "none"; in the promoted dtype of input and head (float32 under autocast), or
        out_dtype. In nats.

    Raises:
        ValueError: A shape, device or number does not fit, or a row's probabilities sum to more than 1.
        TypeError: A type or dtype does not fit.
        IndexError: A class is out of range (where it can be read; else the row is nan).

    Examples:
        >>> hidden, head = torch.eye(2), torch.tensor([[2.0, 0.0], [0.5, 0.0], [0.0, 3.0]])
        >>> top = torch.tensor([[0, 1], [2, 0]])
        >>> linear_topk_kl_div(hidden, head, top, torch.tensor([[0.7, 0.2], [0.9, 0.05]]).log())
        tensor(0.0025)

    See Also:
        `linear_kl_div`, against a teacher's head.

    References:
        G. Hinton, O. Vinyals, J. Dean, Distilling the Knowledge in a Neural Network, 2015.
    """
    check_tail(tail)
    rows = resolve(
        "linear_topk_kl_div",
        LossTensors(
            input,
            token_weight=token_weight,
            denominator=denominator,
            linear_weight=linear_weight,
            linear_bias=linear_bias,
        ),
        labelled=False,
        reduction=reduction,
        softcap=softcap,
        logit_scale=logit_scale,
        temperature=temperature,
        out_dtype=out_dtype,
        options=options,
        validate=validate,
    )
    index, log_p = _teacher(rows, teacher_indices, teacher_log_probs, input.dim() - 1, validate)
    rows = rows.heard()
    others = rows.statistics(absent=index).logsumexp
    chosen = chosen_logits(rows.tensors, rows.spec, index)
    return rows.reduced(_divergence(log_p, chosen, others, _all_taken(index, rows.spec), tail))


def check_tail(tail: object) -> None:
    """What is done about the other classes is "rest" or "none"."""
    if tail not in ("rest", "none"):
        raise ArgumentValueError(f"tail is {tail!r}, expected 'rest' or 'none'")


def _divergence(log_p: Tensor, chosen: Tensor, others: Tensor, all_taken: Tensor, tail: Tail) -> Tensor:
    """The loss of rows whose chosen classes are the last axis."""
    z = torch.cat([chosen, others.unsqueeze(-1)], -1)
    if tail == "none":
        p = log_p.exp()
        log_q = log_softmax(z, -1)[..., :-1]
        # 0 where p is 0, whatever q is
        return (product(p, log_p) - product(p, log_q)).sum(-1)
    mass = log_p.exp().sum(-1, keepdim=True)
    left = (mass < 1) & ~all_taken  # of all classes nothing is left but rounding
    rest = torch.where(left, torch.log1p(-torch.where(left, mass, 0.0)), -torch.inf)
    log_p = torch.cat([log_p, rest], -1)
    # impossible for both: 0, and without the difference of two infinities in the gradient
    z = z.masked_fill(log_p.isneginf() & z.isneginf(), torch.finfo(z.dtype).min)
    return kl_divergence(p_logits=log_p, q_logits=z, dim=-1, validate=False)


def _all_taken(index: Tensor, spec: LossSpec) -> Tensor:
    """Whether the chosen classes of a row are all there are."""
    return (index >= 0).sum(-1, keepdim=True) >= spec.num_classes


def _teacher(rows: Rows, indices: object, log_probs: object, dim: int, validate: bool) -> tuple[Tensor, Tensor]:
    """Classes (…, K), −1 for none, and their log-probabilities: those of a row that cannot be are nan."""
    spec, shape = rows.spec, rows_shape(rows.loss)
    if not isinstance(indices, Tensor) or indices.dtype not in INTEGERS:
        raise ArgumentTypeError(f"teacher_indices is {kind_of(indices)}, expected classes, of an integer dtype")
    if not isinstance(log_probs, Tensor) or not log_probs.is_floating_point():
        raise ArgumentTypeError(f"teacher_log_probs is {kind_of(log_probs)}, expected a floating tensor")
    expected = torch.Size((*shape[:dim], *indices.shape[dim : dim + 1], *shape[dim:]))
    if indices.shape != log_probs.shape or indices.shape != expected or indices.dim() <= dim:
        example = (*shape[:dim], "K", *shape[dim:])
        raise ArgumentValueError(
            f"teacher_indices has shape {tuple(indices.shape)} and teacher_log_probs {tuple(log_probs.shape)}, "
            f"expected ({', '.join(map(str, example))}) of both: K classes of each row"
        )
    for name, x in (("teacher_indices", indices), ("teacher_log_probs", log_probs)):
        if x.device != rows.tensors.input.device:
            raise ArgumentValueError(f"{name} is on {x.device}, input on {rows.tensors.input.device}")
    index, log_p = indices.long().movedim(dim, -1), log_probs.to(spec.dtype).movedim(dim, -1)
    none, silent = index < 0, rows.silent().unsqueeze(-1)
    log_p = log_p.masked_fill(none | silent, -torch.inf)
    outside = ((index < -1) | (index >= spec.num_classes)) & ~silent
    slack = 2.0**-5 if log_probs.element_size() == 2 else 2.0**-10
    excessive = ~(log_p.exp().sum(-1, keepdim=True) <= 1 + slack)
    if readable(index, log_p):
        _refuse(index, log_p, outside, excessive, spec.num_classes)
    if validate:
        _check_once(index)
    wrong = (outside.any(-1, keepdim=True) | excessive).expand(log_p.shape)
    return torch.where(outside | silent, -1, index), log_p.masked_fill(wrong, torch.nan)


def _refuse(index: Tensor, log_p: Tensor, outside: Tensor, excessive: Tensor, classes: int) -> None:
    offence = first(outside)
    if offence is not None:
        raise ArgumentIndexError(
            f"teacher_indices{position(offence)} is {int(index[offence])}, expected a class in [0, {classes}), or -1, "
            "which is none"
        )
    offence = first(excessive.squeeze(-1))
    if offence is not None:
        mass = log_p[offence].exp().sum().item()
        raise ArgumentValueError(
            f"teacher_log_probs: the probabilities of row {offence} sum to {mass:.6g}, expected at most 1 — are they "
            "logits, or probabilities? give log_softmax of all the teacher's logits at the K classes"
        )


def _check_once(index: Tensor) -> None:
    if not readable(index, wait=True):
        return
    ordered = index.sort(-1).values
    offence = first((ordered[..., 1:] == ordered[..., :-1]) & (ordered[..., 1:] >= 0))
    if offence is not None:
        raise ArgumentValueError(f"teacher_indices: class {int(ordered[offence])} comes twice in row {offence[:-1]}")
