"""Losses that are a function of a row's statistics: focal, poly-1, generalised cross entropy, and any of one's own.

    row loss     ℓ_i = f(log p_y, H, lse)                    p = softmax(z), without logits where there is a head
    focal        ℓ_i = −(1 − p_y)^γ log p_y                  easy rows count less; γ = 0 is cross entropy
    poly-1       ℓ_i = −log p_y + ε (1 − p_y)                the first term of its series in 1 − p_y, more or less of it
    generalised  ℓ_i = (1 − p_y^q) / q                       from cross entropy (q → 0) to 1 − p_y (q = 1): bounded

1 − p_y is −expm1(log p_y), which keeps the digits that log_prob has.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from crossentropy import _contract as contract
from crossentropy._contract import AnyOptions, Ignored
from crossentropy._errors import ArgumentTypeError, kind_of
from crossentropy._keywords import overridable
from crossentropy._loss import LossTensors
from crossentropy._losses._rows import of_statistics, resolve
from crossentropy._losses.token_statistics import TokenStatistics


@overridable
def row_loss(
    function: Callable[[TokenStatistics], Tensor],
    input: Tensor,
    target: Tensor | None = None,
    *,
    linear_weight: Tensor | None = None,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: Ignored = -100,
    token_weight: Tensor | None = None,
    denominator: Tensor | float | None = None,
    softcap: float | None = None,
    logit_scale: float = 1.0,
    class_mask: Tensor | None = None,
    out_dtype: torch.dtype | None = None,
    options: AnyOptions = None,
    validate: bool = False,
) -> Tensor:
    """Loss that any function makes of each row's statistics.

        L_i = f(log p_y, H(p), lse)       p = softmax(z)

    Log-probabilities, entropies and lse are differentiable, so f may be any differentiable function of them: policy
    gradients with an entropy bonus, preference losses, losses that weigh rows by their confidence. With a head the
    logits are never built: their statistics are computed in chunks, and once more for the gradient.

    Args:
        function: From `TokenStatistics`, each field in the rows' shape and in float32 or wider, to a loss for each row.
        input: Logits (C), (N, C) or (N, C, d1, …, dK); with a head, hidden states (…, D).
        target: Class indices in the rows' shape; without them log_prob is None.
        linear_weight: Head (C, D); without it `input` holds logits.
        linear_bias: Bias (C). Default: none.
        weight: Class weights (C) of the labels, any floating dtype. Default: 1.
        reduction: "none", "mean" (over rows that count, weighted) or "sum".
        ignore_index: A target value whose rows are left out, or several.
        token_weight: Weight of each row, in the rows' shape; 0 leaves a row out. Default: 1.
        denominator: What "mean" divides by; a number or a tensor of one element. Default: the weight of the rows that
            count, in sum.
        softcap: c > 0 of the cap c · tanh(z / c). Default: none.
        logit_scale: Factor on the logits, before the cap: 1 / T for a temperature T.
        class_mask: Which classes count, bool: (C) for all rows, or as the logits for each row. Default: all.
        out_dtype: Dtype of the returned loss. Default: the input's, and float32 under autocast.
        options: How to execute it, a `crossentropy.Options`. Default: as it chooses.
        validate: Look at the values: logits, labels, weights.

    Returns:
        The loss: a scalar, or the rows' shape for "none"; in the promoted dtype of input and head, or out_dtype.

    Raises:
        ValueError: A shape, device, number or reduction does not fit, or the function returns another shape.
        TypeError: A type or dtype does not fit.
        IndexError: A label is out of range (where it can be read; else the loss is nan).

    Examples:
        >>> hidden, head = torch.eye(2), torch.tensor([[2.0, 0.0], [0.5, 0.0], [0.0, 3.0]])
        >>> confident = lambda row: -row.log_prob - 0.1 * row.entropy
        >>> row_loss(confident, hidden, torch.tensor([0, 2]), linear_weight=head)
        tensor(0.1447)

    See Also:
        `token_statistics`, which has the statistics alone; `focal_loss`, a row loss.

    References:
        None: it is what `token_statistics` is for.
    """
    if not callable(function):
        raise ArgumentTypeError(f"function is {kind_of(function)}, expected a callable: the first argument")
    rows = resolve(
        "row_loss",
        LossTensors(input, target, weight, token_weight, denominator, linear_weight, linear_bias),
        labelled=target is not None,
        reduction=reduction,
        ignore_index=ignore_index,
        softcap=softcap,
        logit_scale=logit_scale,
        class_mask=class_mask,
        out_dtype=out_dtype,
        options=options,
        validate=validate,
    )
    return of_statistics(function, rows)


def _known(found: TokenStatistics) -> Tensor:
    """The log-probability of the label, of rows that have one."""
    assert found.log_prob is not None
    return found.log_prob


@overridable
def focal_loss(
    input: Tensor,
    target: Tensor,
    *,
    gamma: float = 2.0,
    linear_weight: Tensor | None = None,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: Ignored = -100,
    token_weight: Tensor | None = None,
    denominator: Tensor | float | None = None,
    softcap: float | None = None,
    logit_scale: float = 1.0,
    class_mask: Tensor | None = None,
    out_dtype: torch.dtype | None = None,
    options: AnyOptions = None,
    validate: bool = False,
) -> Tensor:
    """Focal loss of logits, or of a linear head's, against class indices.

        L_i = −w_y (1 − p_y)^γ log p_y

    Rows that the model has right and is sure of count less, so that many easy ones do not drown few hard ones.

    Args:
        input: Logits (C), (N, C) or (N, C, d1, …, dK); with a head, hidden states (…, D).
        target: Class indices in the rows' shape, any integer dtype.
        gamma: γ ≥ 0; 0 is cross entropy.
        linear_weight: Head (C, D); without it `input` holds logits.
        linear_bias: Bias (C). Default: none.
        weight: Class weights (C), any floating dtype: the paper's α. Default: 1.
        reduction: "none", "mean" (weighted by w_y, as cross_entropy's) or "sum".
        ignore_index: A target value whose rows are left out, or several.
        token_weight: Weight of each row, in the rows' shape. Default: 1.
        denominator: What "mean" divides by; the paper has the number of rows that are not background. Default: the
            weight of the rows that count, in sum.
        softcap: c > 0 of the cap c · tanh(z / c). Default: none.
        logit_scale: Factor on the logits, before the cap: 1 / T for a temperature T.
        class_mask: Which classes count, bool: (C) for all rows, or as the logits for each row. Default: all.
        out_dtype: Dtype of the returned loss. Default: the input's, and float32 under autocast.
        options: How to execute it, a `crossentropy.Options`. Default: as it chooses.
        validate: Look at the values: logits, labels, weights.

    Returns:
        The loss: a scalar, or the rows' shape for "none"; in the promoted dtype of input and head, or out_dtype.

    Raises:
        ValueError: A shape, device, number or reduction does not fit.
        TypeError: A type or dtype does not fit.
        IndexError: A label is out of range (where it can be read; else the loss is nan).

    Examples:
        >>> logits = torch.tensor([[2.0, 0.5, 0.0], [0.0, 0.0, 3.0]])
        >>> focal_loss(logits, torch.tensor([0, 2]))
        tensor(0.0111)

    See Also:
        `cross_entropy`, with `weight` for classes that are rare; `row_loss`.

    References:
        T.-Y. Lin et al., Focal Loss for Dense Object Detection, 2017.
    """
    gamma = contract.number("gamma", gamma, low=0.0)
    rows = resolve(
        "focal_loss",
        LossTensors(input, target, weight, token_weight, denominator, linear_weight, linear_bias),
        reduction=reduction,
        ignore_index=ignore_index,
        softcap=softcap,
        logit_scale=logit_scale,
        class_mask=class_mask,
        out_dtype=out_dtype,
        options=options,
        validate=validate,
    )
    return of_statistics(lambda found: -_focused(_known(found), gamma) * _known(found), rows)


def _focused(log_p: Tensor, gamma: float) -> Tensor:
    """(1 − p)^γ, whose derivative at p = 1 is infinite for γ < 1, and counts for nothing beside log p = 0."""
    missing = -torch.expm1(log_p)
    certain = missing == 0
    return torch.where(certain, float(gamma == 0), torch.where(certain, 1.0, missing) ** gamma)


@overridable
def poly1_loss(
    input: Tensor,
    target: Tensor,
    *,
    epsilon: float = 1.0,
    linear_weight: Tensor | None = None,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: Ignored = -100,
    token_weight: Tensor | None = None,
    denominator: Tensor | float | None = None,
    softcap: float | None = None,
    logit_scale: float = 1.0,
    class_mask: Tensor | None = None,
    out_dtype: torch.dtype | None = None,
    options: AnyOptions = None,
    validate: bool = False,
) -> Tensor:
    """Poly-1 loss of logits, or of a linear head's, against class indices.

        L_i = w_y (−log p_y + ε (1 − p_y))

    Cross entropy is the series Σ_j (1 − p_y)^j / j; this changes the coefficient of its first term from 1 to 1 + ε.

    Args:
        input: Logits (C), (N, C) or (N, C, d1, …, dK); with a head, hidden states (…, D).
        target: Class indices in the rows' shape, any integer dtype.
        epsilon: ε; 0 is cross entropy, −1 removes the first term.
        linear_weight: Head (C, D); without it `input` holds logits.
        linear_bias: Bias (C). Default: none.
        weight: Class weights (C), any floating dtype. Default: 1.
        reduction: "none", "mean" (weighted by w_y, as cross_entropy's) or "sum".
        ignore_index: A target value whose rows are left out, or several.
        token_weight: Weight of each row, in the rows' shape. Default: 1.
        denominator: What "mean" divides by; a number or a tensor of one element. Default: the weight of the rows that
            count, in sum.
        softcap: c > 0 of the cap c · tanh(z / c). Default: none.
        logit_scale: Factor on the logits, before the cap: 1 / T for a temperature T.
        class_mask: Which classes count, bool: (C) for all rows, or as the logits for each row. Default: all.
        out_dtype: Dtype of the returned loss. Default: the input's, and float32 under autocast.
        options: How to execute it, a `crossentropy.Options`. Default: as it chooses.
        validate: Look at the values: logits, labels, weights.

    Returns:
        The loss: a scalar, or the rows' shape for "none"; in the promoted dtype of input and head, or out_dtype.

    Raises:
        ValueError: A shape, device, number or reduction does not fit.
        TypeError: A type or dtype does not fit.
        IndexError: A label is out of range (where it can be read; else the loss is nan).

    Examples:
        >>> logits = torch.tensor([[2.0, 0.5, 0.0], [0.0, 0.0, 3.0]])
        >>> poly1_loss(logits, torch.tensor([0, 2]))
        tensor(0.3779)

    See Also:
        `cross_entropy`; `row_loss`.

    References:
        Z. Leng et al., PolyLoss: A Polynomial Expansion Perspective of Classification Loss Functions, 2022.
    """
    epsilon = contract.number("epsilon", epsilon)
    rows = resolve(
        "poly1_loss",
        LossTensors(input, target, weight, token_weight, denominator, linear_weight, linear_bias),
        reduction=reduction,
        ignore_index=ignore_index,
        softcap=softcap,
        logit_scale=logit_scale,
        class_mask=class_mask,
        out_dtype=out_dtype,
        options=options,
        validate=validate,
    )
    return of_statistics(lambda found: -_known(found) - epsilon * torch.expm1(_known(found)), rows)


@overridable
def generalized_cross_entropy(
    input: Tensor,
    target: Tensor,
    *,
    q: float = 0.7,
    linear_weight: Tensor | None = None,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: Ignored = -100,
    token_weight: Tensor | None = None,
    denominator: Tensor | float | None = None,
    softcap: float | None = None,
    logit_scale: float = 1.0,
    class_mask: Tensor | None = None,
    out_dtype: torch.dtype | None = None,
    options: AnyOptions = None,
    validate: bool = False,
) -> Tensor:
    """Generalised cross entropy of logits, or of a linear head's, against class indices.

        L_i = w_y (1 − p_y^q) / q

    Bounded by 1/q, where cross entropy grows without end: a wrong label pulls no harder than that. q → 0 is cross
    entropy, q = 1 the mean absolute error.

    Args:
        input: Logits (C), (N, C) or (N, C, d1, …, dK); with a head, hidden states (…, D).
        target: Class indices in the rows' shape, any integer dtype.
        q: In [0, 1].
        linear_weight: Head (C, D); without it `input` holds logits.
        linear_bias: Bias (C). Default: none.
        weight: Class weights (C), any floating dtype. Default: 1.
        reduction: "none", "mean" (weighted by w_y, as cross_entropy's) or "sum".
        ignore_index: A target value whose rows are left out, or several.
        token_weight: Weight of each row, in the rows' shape. Default: 1.
        denominator: What "mean" divides by; a number or a tensor of one element. Default: the weight of the rows that
            count, in sum.
        softcap: c > 0 of the cap c · tanh(z / c). Default: none.
        logit_scale: Factor on the logits, before the cap: 1 / T for a temperature T.
        class_mask: Which classes count, bool: (C) for all rows, or as the logits for each row. Default: all.
        out_dtype: Dtype of the returned loss. Default: the input's, and float32 under autocast.
        options: How to execute it, a `crossentropy.Options`. Default: as it chooses.
        validate: Look at the values: logits, labels, weights.

    Returns:
        The loss: a scalar, or the rows' shape for "none"; in the promoted dtype of input and head, or out_dtype.

    Raises:
        ValueError: A shape, device, number or reduction does not fit.
        TypeError: A type or dtype does not fit.
        IndexError: A label is out of range (where it can be read; else the loss is nan).

    Examples:
        >>> logits = torch.tensor([[2.0, 0.5, 0.0], [0.0, 0.0, 3.0]])
        >>> generalized_cross_entropy(logits, torch.tensor([0, 2]))
        tensor(0.1838)

    See Also:
        `cross_entropy`, with `label_smoothing`; `row_loss`.

    References:
        Z. Zhang, M. Sabuncu, Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy Labels, 2018.
    """
    q = contract.number("q", q, low=0.0, high=1.0)
    rows = resolve(
        "generalized_cross_entropy",
        LossTensors(input, target, weight, token_weight, denominator, linear_weight, linear_bias),
        reduction=reduction,
        ignore_index=ignore_index,
        softcap=softcap,
        logit_scale=logit_scale,
        class_mask=class_mask,
        out_dtype=out_dtype,
        options=options,
        validate=validate,
    )
    if q == 0:
        return of_statistics(lambda found: -_known(found), rows)
    return of_statistics(lambda found: -torch.expm1(q * _known(found)) / q, rows)
