"""Statistics of rows of logits, for which torch has no function: `crossentropy.functional.token_statistics`."""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.overrides import handle_torch_function

from crossentropy import _contract as contract
from crossentropy import _execution
from crossentropy._contract import AnyOptions, Ignored
from crossentropy._errors import ArgumentValueError
from crossentropy._keywords import hinting
from crossentropy._logspace import wide
from crossentropy._loss import LossTensors
from crossentropy._losses._classes import masked
from crossentropy._tensors import check_floating, check_statistics_head
from crossentropy._values import axis


class TokenStatistics(NamedTuple):
    """What one pass over rows of logits tells; see `token_statistics`. Each field has the rows' shape."""

    log_prob: Tensor | None
    """log softmax(z)_y of the target y; 0 in ignored rows; None without a target. In nats."""
    entropy: Tensor
    """Entropy of softmax(z), in nats."""
    logsumexp: Tensor
    """log Σ exp(z)."""
    argmax: Tensor
    """Index of the largest logit, the first of equal ones, int64; not differentiable."""


def _overrides(x: Tensor) -> bool:
    """Whether a subclass has functions of its own. For others torch would make the wrong kind of tuple."""
    own = getattr(type(x).__torch_function__, "__func__", None)
    return own not in (None, Tensor.__torch_function__.__func__)


@hinting
def token_statistics(
    input: Tensor,
    target: Tensor | None = None,
    *,
    linear_weight: Tensor | None = None,
    linear_bias: Tensor | None = None,
    dim: int = -1,
    ignore_index: Ignored = -100,
    softcap: float | None = None,
    logit_scale: float = 1.0,
    class_mask: Tensor | None = None,
    out_dtype: torch.dtype | None = None,
    options: AnyOptions = None,
    validate: bool = False,
) -> TokenStatistics:
    """Statistics of rows of logits: log-probability of a target, entropy, logsumexp and argmax.

        log_prob = z_y − lse(z)      entropy = −Σ p log p,  p = softmax(z)      logsumexp = lse(z)

    What policy gradients, distillation and evaluation need of each token, in one pass; all but argmax differentiable.
    With a head the logits input @ linear_weight.T + linear_bias are never built.

    Args:
        input: Logits, (…, C, …), the classes along `dim`; with a head, hidden states (…, D).
        target: Class indices in the rows' shape (input's without `dim`), any integer dtype. Without them log_prob is
            None.
        linear_weight: Head (C, D); without it `input` holds logits.
        linear_bias: Bias (C). Default: none.
        dim: The class axis; the last by default, as language models have it, and always with a head.
        ignore_index: A target value, or several, whose rows have log_prob 0. Their other statistics do not depend on
            the target.
        softcap: c > 0 of the cap c · tanh(z / c). Default: none.
        logit_scale: Factor on the logits, before the cap; 1/T for a temperature T.
        class_mask: Which classes count, bool: (C) for all rows, or as the logits for each row. Default: all.
        out_dtype: Dtype of the statistics. Default: float32 for half precision, which holds 3 digits; else the input's.
        options: How to execute it, a `crossentropy.Options`. Default: as it chooses.
        validate: Look at the values: logits, labels; with a head, it and the hidden states.

    Returns:
        `TokenStatistics(log_prob, entropy, logsumexp, argmax)`, each in the rows' shape.

    Raises:
        ValueError: A shape, device or number does not fit.
        TypeError: A type or dtype does not fit.
        IndexError: `dim` is not an axis, or a label is out of range (where it can be read; else its log_prob is nan).

    Examples:
        >>> statistics = token_statistics(torch.tensor([[2.0, 0.0], [1.0, 1.0]]), torch.tensor([0, 1]))
        >>> statistics.log_prob, statistics.entropy
        (tensor([-0.1269, -0.6931]), tensor([0.3653, 0.6931]))

    See Also:
        `crossentropy.functional.cross_entropy`; `crossentropy.information.entropy`.
    """
    check_floating("input", input)
    if _overrides(input):
        return handle_torch_function(
            token_statistics, (input,), input, target, linear_weight=linear_weight, linear_bias=linear_bias, dim=dim,
            ignore_index=ignore_index, softcap=softcap, logit_scale=logit_scale, class_mask=class_mask,
            out_dtype=out_dtype, options=options, validate=validate,
        )  # fmt: skip
    shape, class_dim = input.shape, axis("input", input, dim)
    if linear_weight is not None:
        shape = check_statistics_head(input, linear_weight, linear_bias, dim)
    elif linear_bias is not None:
        raise ArgumentValueError("linear_bias is given and linear_weight is not: pass the head too")
    tensors, spec = contract.resolve(
        LossTensors(input, target, linear_weight=linear_weight, linear_bias=linear_bias),
        shape,
        class_dim,
        target_kind="none" if target is None else "indices",
        reduction="none",
        ignore_index=ignore_index,
        softcap=softcap,
        logit_scale=logit_scale,
        out_dtype=out_dtype,
        options=options,
    )
    tensors, spec, shape, absent = masked(tensors, spec, shape, class_mask)
    loss = contract.make_loss("statistics", shape, ((tensors, spec),), options, absent)
    if validate:
        _execution.check(loss, tensors, spec)
    rows, argmax = _execution.statistics(loss, options)
    return named(rows, argmax, spec.out_dtype if out_dtype is not None else wide(spec.out_dtype), target)


def named(rows: Iterable[Tensor], argmax: Tensor, dtype: torch.dtype, target: Tensor | None) -> TokenStatistics:
    """The statistics (3, rows) by name."""
    log_prob, entropy, logsumexp = (row.clone() for row in rows)  # no views, which autograd lets nobody change
    known = None if target is None else log_prob.to(dtype)
    return TokenStatistics(known, entropy.to(dtype), logsumexp.to(dtype), argmax)
