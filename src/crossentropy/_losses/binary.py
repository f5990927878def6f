"""Binary and multi-label losses: each element is a question of its own, with the answers yes and no.

    ℓ = −w [π y log q + (1 − y) log(1 − q)]        q = σ(z) = 1 / (1 + exp(−z))

    log σ(z) = −softplus(−z)                       log(1 − σ(z)) = −softplus(z)            softplus(x) = log(1 + exp(x))

    none: t ℓ      sum: Σ t ℓ      mean: Σ t ℓ / Σ t      or   Σ t ℓ / denominator

z logits · q probabilities of yes · y target, in [0, 1] · w weight, π pos_weight: factors of an element, and of its yes,
by which a mean does not divide, as in torch · t token_weight: an element of weight t is t elements. All have the
input's shape (…), whatever it is, or one that broadcasts to it. Σ is over elements that are not ignored.

Both softplus are ≥ 0, so that nothing cancels between them: a tiny loss keeps its digits, where torch's
(1 − y) z − log σ(z) is 0 from z = −17 on. An infinite one is masked where its factor is 0.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from crossentropy import _contract as contract
from crossentropy import _execution, _tiny, _validation
from crossentropy import _logspace as logspace
from crossentropy import _sharding as sharding
from crossentropy._errors import ArgumentValueError
from crossentropy._keywords import overridable
from crossentropy._reduction import divided, given_divisor, weigh
from crossentropy._targets import check_binary_target, long
from crossentropy._tensors import INTEGERS, check_element_weights, check_floating, check_same_device
from crossentropy._values import first, position, readable


@overridable
def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
    token_weight: Tensor | None = None,
    denominator: Tensor | float | None = None,
    validate: bool = False,
) -> Tensor:
    """Binary cross entropy of probabilities against a target, element by element.

        L = −w [y · log p + (1 − y) · log(1 − p)],   y smoothed to (1−ε) y + ε/2
        mean = Σ t L / Σ t,   over elements that are not ignored

    The average information, in nats, of answers yes (1) and no (0) to one who believes p. As in torch, a logarithm
    is at least −100, so that a certain and wrong p costs 100; and the gradient is (p − y) / max(p (1 − p), 1e-12): at
    0 and 1 it is ±1e12 if p is wrong, and 0 if it is right. Of a sigmoid prefer the logits: 1 − p has lost digits.

    Args:
        input: Probabilities p in [0, 1], any shape, any floating dtype.
        target: y in [0, 1], in the input's shape; of a floating, integer or bool dtype.
        weight: Factor of each element, in the input's shape or one that broadcasts to it. Default: 1.
        size_average: Deprecated, see reduction.
        reduce: Deprecated, see reduction.
        reduction: "none", "mean" (weighted by token_weight, not by weight) or "sum".
        label_smoothing: Label smoothing ε in [0, 1]: the part of y that becomes 1/2.
        ignore_index: A target value whose elements are left out. None leaves out none.
        token_weight: How many elements each counts as, in the mean's denominator too; the input's shape, or axes of
            size 1: (N, 1) weighs the rows of (N, C). Default: 1.
        denominator: What "mean" divides by; a number or a tensor of one element, and over no elements the loss is 0.
            Default: the token_weight of the elements that count, in sum.
        validate: Look at the values: probabilities, target, weights, whether an element counts.

    Returns:
        The loss: a scalar, or the input's shape for "none"; in the promoted dtype of input and target (float32 under
        autocast, where torch raises). The mean over no elements is nan, with zero gradients.

    Raises:
        ValueError: A shape, device, number or reduction does not fit, or input or target is outside [0, 1] (where that
            can be read without waiting; else the loss and its gradient are nan). Also a RuntimeError.
        TypeError: A type or dtype does not fit. Also a RuntimeError.

    Examples:
        >>> binary_cross_entropy(torch.tensor([0.9, 0.2]), torch.tensor([1.0, 0.0]))
        tensor(0.1643)

    See Also:
        `binary_cross_entropy_with_logits`, which loses no digits; `cross_entropy`, for one class of several.

    References:
        torch.nn.functional.binary_cross_entropy.
    """
    reduction = contract.resolve_reduction(reduction, size_average, reduce)
    if _is_torchs(label_smoothing, ignore_index, token_weight, denominator, validate):
        loss = _tiny.binary_cross_entropy(input, target, weight, reduction)
        if loss is not None:
            return loss
    tensors = _Tensors(input, target, weight, None, token_weight, denominator)
    return _loss(_of_probabilities, tensors, reduction, label_smoothing, ignore_index, validate)


@overridable
def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
    *,
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
    token_weight: Tensor | None = None,
    denominator: Tensor | float | None = None,
    validate: bool = False,
) -> Tensor:
    """Binary cross entropy of logits against a target, element by element.

        L = −w [π · y · log σ(z) + (1 − y) · log σ(−z)],   y smoothed to (1−ε) y + ε/2
        mean = Σ t L / Σ t,   over elements that are not ignored

    One logit for each question that is answered yes (1) or no (0): two classes, or several labels in a row. A tiny loss
    keeps relative accuracy, and so does its gradient. A logit of ±inf is certain: its loss and gradient are 0 where
    the target agrees, and the loss is inf where it does not.

    Args:
        input: Logits z of any shape, any floating dtype; not probabilities.
        target: y in [0, 1], in the input's shape; of a floating, integer or bool dtype.
        weight: Factor of each element, in the input's shape or one that broadcasts to it. Default: 1.
        size_average: Deprecated, see reduction.
        reduce: Deprecated, see reduction.
        reduction: "none", "mean" (weighted by token_weight, not by weight) or "sum".
        pos_weight: π, factor of the part of y, in a shape that broadcasts to the input's: (C) for logits (…, C).
            Default: 1.
        label_smoothing: Label smoothing ε in [0, 1]: the part of y that becomes 1/2.
        ignore_index: A target value whose elements are left out. None leaves out none.
        token_weight: How many elements each counts as, in the mean's denominator too; the input's shape, or axes of
            size 1: (N, 1) weighs the rows of (N, C). Default: 1.
        denominator: What "mean" divides by; a number or a tensor of one element, and over no elements the loss is 0.
            Default: the token_weight of the elements that count, in sum.
        validate: Look at the values: logits, target, weights, whether an element counts.

    Returns:
        The loss: a scalar, or the input's shape for "none"; in the promoted dtype of input and target (float32 under
        autocast). The mean over no elements is nan, with zero gradients.

    Raises:
        ValueError: A shape, device, number or reduction does not fit. Also a RuntimeError.
        TypeError: A type or dtype does not fit. Also a RuntimeError.

    Examples:
        >>> logits = torch.tensor([[2.0, -1.0, 30.0], [0.0, -40.0, 1.0]])
        >>> target = torch.tensor([[1, 0, 1], [0, 0, 1]])
        >>> binary_cross_entropy_with_logits(logits, target, reduction="none")
        tensor([[1.2693e-01, 3.1326e-01, 9.3576e-14],
                [6.9315e-01, 4.2484e-18, 3.1326e-01]])

    See Also:
        `cross_entropy`, for one class of several; `binary_cross_entropy`, for probabilities.

    References:
        torch.nn.functional.binary_cross_entropy_with_logits.
    """
    reduction = contract.resolve_reduction(reduction, size_average, reduce)
    if _is_torchs(label_smoothing, ignore_index, token_weight, denominator, validate):
        loss = _tiny.binary_cross_entropy_with_logits(input, target, weight, pos_weight, reduction)
        if loss is not None:
            return loss
    tensors = _Tensors(input, target, weight, pos_weight, token_weight, denominator)
    return _loss(_of_logits, tensors, reduction, label_smoothing, ignore_index, validate)


class _Tensors(NamedTuple):
    """The tensors of a loss by their arguments' names."""

    input: Tensor
    target: Tensor
    weight: Tensor | None
    pos_weight: Tensor | None
    token_weight: Tensor | None
    denominator: Tensor | float | None


def _is_torchs(
    label_smoothing: float, ignore_index: int | None, token_weight: Tensor | None, denominator: object, validate: bool
) -> bool:
    """Whether a call is one that torch knows."""
    plainly = token_weight is None and ignore_index is None and denominator is None and validate is False
    return plainly and type(label_smoothing) is float and label_smoothing == 0


_Formula = Callable[[Tensor, Tensor, Tensor | None, Tensor | None], Tensor]
"""From input, target, pos_weight and what does not count: −[π y log q + (1 − y) log(1 − q)], in the dtype of sums."""


def _loss(
    formula: _Formula,
    tensors: _Tensors,
    reduction: str,
    label_smoothing: float,
    ignore_index: int | None,
    validate: bool,
) -> Tensor:
    contract.check_reduction(reduction)
    smoothing = contract.smoothing(label_smoothing)
    ignored = None if ignore_index is None else contract.label_to_ignore(ignore_index)
    tensors = _together(tensors)
    input, target, weight, pos_weight, t, denominator = tensors
    dtype, out_dtype = contract.dtypes(input, (target,), None)
    contract.check_denominator(denominator, reduction, dtype)
    count = None if ignored is None and t is None else _counts(target, t, ignored, dtype)
    if validate:
        counts = torch.ones((), dtype=dtype, device=input.device) if count is None else count
        logits = formula is _of_logits
        _validation.check_binary(input, target, counts, weight, pos_weight, denominator, reduction, logits=logits)
    elements = partial(_elements, formula, smoothing, dtype)
    rows = _execution.elementwise(elements, input, target, weight, pos_weight, count)
    return _reduced(rows, count, denominator, reduction).to(out_dtype)


def _together(tensors: _Tensors) -> _Tensors:
    """The tensors, which fit; if one is a DTensor, all are."""
    input = check_floating("input", tensors.input)
    check_binary_target(input, tensors.target)
    given = {name: x for name, x in tensors._asdict().items() if isinstance(x, Tensor)}
    check_element_weights(input.shape, tensors.weight, tensors.pos_weight, tensors.token_weight)
    check_same_device(**{name: x for name, x in given.items() if name != "denominator"})
    whole = {name: (x.shape,) for name, x in given.items() if name != "input"}
    return tensors._replace(**sharding.together(given, whole))


def _counts(target: Tensor, t: Tensor | None, ignored: int | None, dtype: torch.dtype) -> Tensor:
    """How many elements each element counts as, in the target's shape: t, and 0 where it is ignored."""
    count = torch.ones_like(target, dtype=dtype) if t is None else t.to(dtype).expand_as(target)
    if ignored is None:
        return count
    return count.masked_fill((long(target) if target.dtype in INTEGERS else target) == ignored, 0.0)


def _elements(
    formula: _Formula,
    smoothing: float,
    dtype: torch.dtype,
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    pos_weight: Tensor | None,
    count: Tensor | None,
) -> Tensor:
    """The elements' losses t ℓ, of which none reads what does not count."""
    y, absent = target.to(dtype), None if count is None else count == 0
    if absent is not None:  # whose target may be nan, and its gradient 0 · inf
        y = torch.where(absent, y.detach().nan_to_num(0.5).clamp(0.0, 1.0), y)
    if smoothing:
        y = (1 - smoothing) * y + smoothing / 2
    loss = formula(input.to(dtype), y, None if pos_weight is None else pos_weight.to(dtype), absent)
    for factor in (weight, count):
        loss = loss if factor is None else weigh(factor.to(dtype), loss)
    return loss


def _of_logits(z: Tensor, y: Tensor, pos_weight: Tensor | None, absent: Tensor | None) -> Tensor:
    if absent is not None:
        z = z.masked_fill(absent & z.isnan(), 0.0)
    return logspace.binary_terms(z, y if pos_weight is None else y * pos_weight, 1 - y, readable(z))


def _of_probabilities(p: Tensor, y: Tensor, _: Tensor | None, absent: Tensor | None) -> Tensor:
    """That of torch, which has the bounds, by its own operator."""
    if absent is not None:
        p = p.masked_fill(absent & ~_legal(p), 0.5)
    if readable(p, y):
        hint = "for logits use binary_cross_entropy_with_logits"
        _check_legal("input", p, hint)
        _check_legal("target", y, "to leave out elements pass ignore_index, or token_weight")
        return _torchs(p, y)
    legal = _legal(p) & _legal(y)  # torch's operator ends a process on a GPU at what is not
    found = _torchs(torch.where(legal, p, 0.5), torch.where(legal, y, 0.5))
    return found + p * torch.where(legal, 0.0, torch.nan)  # the gradient is nan as well


def _legal(p: Tensor) -> Tensor:
    return (p >= 0) & (p <= 1)


def _check_legal(name: str, p: Tensor, hint: str) -> None:
    offence = first(~_legal(p))
    if offence is not None:
        raise ArgumentValueError(
            f"{name}{position(offence)} is {p[offence].item():.6g}, expected a probability in [0, 1] — {hint}"
        )


def _torchs(p: Tensor, y: Tensor) -> Tensor:
    if not contract.under_autocast(p):
        return F.binary_cross_entropy(p, y, reduction="none")
    with torch.autocast(p.device.type, enabled=False):  # which forbids it, whatever the dtype
        return F.binary_cross_entropy(p, y, reduction="none")


def _reduced(rows: Tensor, count: Tensor | None, denominator: Tensor | float | None, reduction: str) -> Tensor:
    """The elements' losses, their sum, or their mean."""
    if reduction == "none":
        return rows
    total = sharding.replicated(rows.sum())
    if reduction == "sum":
        return total
    if denominator is not None:
        return divided(total, given_divisor(torch.ones_like(rows) if count is None else count, denominator))
    if count is None:
        return total / rows.numel()
    n = sharding.replicated(count.sum())
    return divided(total, n.masked_fill(n == 0, 1.0)).masked_fill(n == 0, torch.nan)
