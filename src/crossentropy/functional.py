"""Losses and their parts: drop-in for torch.nn.functional, and what torch does not have.

    softmax(z)_c = exp(z_c) / Σ exp(z)          log_softmax(z) = z − lse(z)          lse(z) = log Σ exp(z)
    nll_loss(l, y) = −l_y                       cross_entropy(z, y) = nll_loss(log_softmax(z), y)
    linear_cross_entropy(h, W, y) = cross_entropy(h Wᵀ, y)                           kl_div(l, p) = p (log p − l)
    binary_cross_entropy_with_logits(z, y) = −y log σ(z) − (1 − y) log σ(−z)         σ(z) = 1 / (1 + exp(−z))

N rows (samples, tokens) · C classes · D in_features · z logits (C), (N, C) or (N, C, d1, …, dK) · y target: class
indices (), (N) or (N, d1, …, dK), or class probabilities in the logits' shape · l log-probabilities · h hidden states
(…, D) · W linear_weight (C, D).

Names, order and defaults are torch's, so that `import crossentropy.functional as F` replaces
`import torch.nn.functional as F` for these functions. What differs:

- Any integer dtype is a target, at any rank; any floating dtype a class weight, and class weights have gradients.
- Half-precision input is summed in float32 and rounded once.
- A row that is ignored is not read: nan or inf in it reaches neither loss nor gradient. 0 · (−inf) is 0.
- A tiny loss, and the target's gradient, keep relative accuracy.
- Wrong arguments raise an error, a `crossentropy.ArgumentError`, that says what to do. A label out of range does where
  values can be read at once (CPU tensors, outside torch.compile and vmap). Elsewhere, on CUDA in particular, it makes
  the loss and the row's gradient nan: no device-side assertion ends the process, and no wait is added to the program.

Values are looked at when that is asked for, in the whole package alike:

    validate=True    look at all values, and wait for the device if need be: labels, class probabilities, weights of
                     classes and tokens, whether a row counts; nan, +inf, rows of −inf in logits. What is wrong raises;
                     logits that are probabilities, or their logarithms, give a `crossentropy.ArgumentWarning`. Results
                     and gradients stay what they are. Where there are no values to read (torch.compile, vmap, the meta
                     device), nothing is looked at.
    validate=False   read labels, and these only where that is free. The default of losses, which run at every step;
                     the quantities of `crossentropy.information`, which do not, look by default.

`cross_entropy` and `linear_cross_entropy` share these keyword-only additions:

    token_weight  weight of each row, in the rows' shape; a row of weight 2 counts as two rows, in the mean's
                  denominator too
    denominator   what "mean" divides by instead of the number (weight) of rows: say, the tokens of all accumulated
                  or sharded batches
    z_loss        λ ≥ 0; adds λ · lse² to each row, weighted in the mean like the row itself
    softcap       c > 0; the logits become c · tanh(z / c), after logit_scale. A logit of −inf becomes −c
    logit_scale   the logits are multiplied by it
    num_classes, class_mask   which classes count, of those that logits or a head have
    ignore_index  several labels too
    return_statistics   the loss, and of each row log-probability, entropy, lse, z-loss, argmax, and whether it is right
    out_dtype     dtype of the returned loss
    options       crossentropy.Options or torch.nn.LinearCrossEntropyOptions: how to execute, never what to compute
"""

from typing import Literal, NoReturn, overload

import torch
import torch.nn.functional as F
from torch import Tensor

from crossentropy import _contract as contract
from crossentropy import _execution, _tiny, _validation
from crossentropy import _sharding as sharding
from crossentropy._contract import AnyOptions, Ignored, Options
from crossentropy._errors import no_attribute, warn
from crossentropy._exports import Listing, listing
from crossentropy._keywords import overridable
from crossentropy._loss import LossSpec, LossTensors
from crossentropy._losses._classes import first_classes, first_of_head, masked
from crossentropy._losses._observed import LossStatistics, observed
from crossentropy._losses.binary import binary_cross_entropy, binary_cross_entropy_with_logits
from crossentropy._losses.cosine import cosine_cross_entropy
from crossentropy._losses.divergence import (
    js_div_with_logits,
    kl_div_with_logits,
    linear_js_div,
    linear_kl_div,
    linear_reverse_kl_div,
    reverse_kl_div_with_logits,
)
from crossentropy._losses.row import focal_loss, generalized_cross_entropy, poly1_loss, row_loss
from crossentropy._losses.sampled import sampled_linear_cross_entropy
from crossentropy._losses.softmax import log_softmax, softmax
from crossentropy._losses.token_statistics import TokenStatistics, token_statistics
from crossentropy._losses.topk import linear_topk_kl_div, topk_kl_div_with_logits
from crossentropy._targets import check_divergence_target
from crossentropy._tensors import (
    check_floating,
    check_linear,
    check_same_device,
    class_axis,
)
from crossentropy._values import check_broadcast

__all__ = [
    "LossStatistics",
    "TokenStatistics",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cosine_cross_entropy",
    "cross_entropy",
    "focal_loss",
    "generalized_cross_entropy",
    "js_div_with_logits",
    "kl_div",
    "kl_div_with_logits",
    "linear_cross_entropy",
    "linear_js_div",
    "linear_kl_div",
    "linear_reverse_kl_div",
    "linear_topk_kl_div",
    "log_softmax",
    "nll_loss",
    "poly1_loss",
    "reverse_kl_div_with_logits",
    "row_loss",
    "sampled_linear_cross_entropy",
    "softmax",
    "token_statistics",
    "topk_kl_div_with_logits",
]


@overridable
def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    validate: bool = False,
) -> Tensor:
    """Negative log likelihood of class indices under log-probabilities.

        L_i = −w_{y_i} · l_{i, y_i}          mean = Σ L_i / Σ w_{y_i}, over rows that are not ignored

    Picks, from each row of log-probabilities, that of the target.

    Args:
        input: Log-probabilities (C), (N, C) or (N, C, d1, …, dK), as `log_softmax` gives them.
        target: Class indices (), (N) or (N, d1, …, dK), any integer dtype, in [0, C) or ignore_index.
        weight: Class weights (C), any floating dtype. Default: 1.
        size_average: Deprecated, see reduction.
        ignore_index: The label whose rows are left out: padding, prompts.
        reduce: Deprecated, see reduction.
        reduction: "none", "mean" (weighted mean) or "sum".
        validate: Look at the values: rows that are not normalised, labels, weights, whether a row counts.

    Returns:
        The loss: a scalar, or the target's shape for "none"; the input's dtype (float32 under autocast). In nats.
        The mean over no rows is nan, with zero gradients.

    Raises:
        ValueError: A shape, device or reduction does not fit. Also a RuntimeError where torch raises that.
        TypeError: A dtype does not fit. Also a RuntimeError.
        IndexError: A label is out of range (where it can be read; else the loss is nan, see the module's text).

    Examples:
        >>> log_p = torch.tensor([[0.1, 0.2, 0.7]]).log()
        >>> nll_loss(log_p, torch.tensor([1]))
        tensor(1.6094)

    See Also:
        `cross_entropy`, for logits.

    References:
        torch.nn.functional.nll_loss.
    """
    tiny = None
    if weight is None and size_average is None and reduce is None:
        tiny = _tiny.nll_loss(input, target, ignore_index, reduction)
        if tiny is not None and not validate:
            return tiny
    reduction = contract.resolve_reduction(reduction, size_average, reduce)
    class_dim = class_axis(input, target)
    tensors, spec = contract.resolve(
        LossTensors(input, target, weight),
        input.shape,
        class_dim,
        target_kind="indices",
        reduction=reduction,
        ignore_index=ignore_index,
    )
    sharding.check_log_probabilities(input)
    loss = contract.make_loss("nll", input.shape, ((tensors, spec),))
    if validate:
        _execution.check(loss, tensors, spec)
    return _execution.reduced(loss, tensors, spec, Options("reference")) if tiny is None else tiny


@overload
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: Ignored = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    *,
    token_weight: Tensor | None = None,
    denominator: Tensor | float | None = None,
    z_loss: float = 0.0,
    softcap: float | None = None,
    logit_scale: float = 1.0,
    num_classes: int | None = None,
    class_mask: Tensor | None = None,
    out_dtype: torch.dtype | None = None,
    options: AnyOptions = None,
    validate: bool = False,
    return_statistics: Literal[False] = False,
) -> Tensor: ...


@overload
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: Ignored = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    *,
    token_weight: Tensor | None = None,
    denominator: Tensor | float | None = None,
    z_loss: float = 0.0,
    softcap: float | None = None,
    logit_scale: float = 1.0,
    num_classes: int | None = None,
    class_mask: Tensor | None = None,
    out_dtype: torch.dtype | None = None,
    options: AnyOptions = None,
    validate: bool = False,
    return_statistics: Literal[True],
) -> tuple[Tensor, LossStatistics]: ...


@overridable
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: Ignored = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    *,
    token_weight: Tensor | None = None,
    denominator: Tensor | float | None = None,
    z_loss: float = 0.0,
    softcap: float | None = None,
    logit_scale: float = 1.0,
    num_classes: int | None = None,
    class_mask: Tensor | None = None,
    out_dtype: torch.dtype | None = None,
    options: AnyOptions = None,
    validate: bool = False,
    return_statistics: bool = False,
) -> Tensor | tuple[Tensor, LossStatistics]:
    """Cross entropy of logits against a target.

        L_i = −Σ_c w_c p_ic log softmax(z_i)_c,   p one-hot for class indices, smoothed to (1−ε) p + ε/C
        mean = Σ L_i / Σ w_{y_i} (indices)   or   Σ L_i / N (probabilities)

    The average information, in nats, that the targets carry for someone who believes the model; equal to
    `nll_loss(log_softmax(input), target)` for class indices.

    Args:
        input: Logits (C), (N, C) or (N, C, d1, …, dK); not probabilities.
        target: Class indices (), (N) or (N, d1, …, dK), any integer dtype, in [0, C) or ignore_index; or class
            probabilities in the input's shape.
        weight: Class weights (C), any floating dtype. Default: 1.
        size_average: Deprecated, see reduction.
        ignore_index: A target value whose rows are left out, or several; class indices only.
        reduce: Deprecated, see reduction.
        reduction: "none", "mean" (weighted mean for class indices) or "sum".
        label_smoothing: Label smoothing ε in [0, 1]: the part of the target that is spread over the classes that count.
        token_weight: Weight of each row, in the rows' shape. Default: 1.
        denominator: What "mean" divides by; a number or a tensor of one element, and over no rows the loss is 0.
            Default: the weight of the rows that count, in sum.
        z_loss: λ ≥ 0 of the added term λ · lse², which draws the logsumexp of a row to 0.
        softcap: c > 0 of the cap c · tanh(z / c). Default: none.
        logit_scale: Factor on the logits, before the cap: 1 / T for a temperature T.
        num_classes: How many classes count, the first ones; the others pad the vocabulary. Default: all.
        class_mask: Which classes count, bool: (C) for all rows, or as the logits for each row. Default: all.
        out_dtype: Dtype of the returned loss. Default: the input's, and float32 under autocast.
        options: How to execute it, a `crossentropy.Options`. Default: as it chooses.
        validate: Look at the values: logits, target, weights, whether a row counts.
        return_statistics: Return `(loss, LossStatistics)`: what a training log wants of each row, in the same pass.

    Returns:
        The loss: a scalar, or the rows' shape for "none"; in the input's dtype, promoted with class probabilities
        (float32 under autocast), or out_dtype. The mean over no rows is nan, with zero gradients.

    Raises:
        ValueError: A shape, device, number or reduction does not fit. Also a RuntimeError where torch raises that.
        TypeError: A type or dtype does not fit. Also a RuntimeError.
        IndexError: A label is out of range (where it can be read; else the loss is nan, see the module's text).

    Examples:
        >>> logits = torch.tensor([[2.0, 0.5, 0.0], [0.0, 0.0, 3.0]])
        >>> cross_entropy(logits, torch.tensor([0, 2]))
        tensor(0.2006)

    See Also:
        `linear_cross_entropy`, from hidden states and a head; `crossentropy.information.cross_entropy`, the quantity.

    References:
        torch.nn.functional.cross_entropy; C. Szegedy et al., Rethinking the Inception Architecture, 2015 (smoothing);
        A. Chowdhery et al., PaLM, 2022 (z-loss).
    """
    plain = weight is None and size_average is None and reduce is None and token_weight is None and denominator is None
    plain = plain and num_classes is None and class_mask is None and not return_statistics
    tiny = None
    unchanged = plain and _untouched(label_smoothing, z_loss, softcap, logit_scale, out_dtype, options)
    if unchanged and isinstance(ignore_index, int):
        tiny = _tiny.cross_entropy(input, target, ignore_index, reduction)
        if tiny is not None and not validate:
            return tiny
    reduction = contract.resolve_reduction(reduction, size_average, reduce)
    class_dim = class_axis(input, target)
    input = first_classes("input", input, class_dim, num_classes)
    tensors, spec = contract.resolve(
        LossTensors(input, target, weight, token_weight, denominator),
        input.shape,
        class_dim,
        reduction=reduction,
        ignore_index=ignore_index,
        label_smoothing=label_smoothing,
        z_loss=z_loss,
        softcap=softcap,
        logit_scale=logit_scale,
        out_dtype=out_dtype,
        options=options,
    )
    found = _finished(tensors, spec, input.shape, class_mask, options, validate, return_statistics)
    return found if tiny is None else tiny


@overload
def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: Ignored | None = None,
    label_smoothing: float = 0.0,
    token_weight: Tensor | None = None,
    denominator: Tensor | float | None = None,
    z_loss: float = 0.0,
    softcap: float | None = None,
    logit_scale: float = 1.0,
    num_classes: int | None = None,
    class_mask: Tensor | None = None,
    out_dtype: torch.dtype | None = None,
    options: AnyOptions = None,
    validate: bool = False,
    return_statistics: Literal[False] = False,
) -> Tensor: ...


@overload
def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: Ignored | None = None,
    label_smoothing: float = 0.0,
    token_weight: Tensor | None = None,
    denominator: Tensor | float | None = None,
    z_loss: float = 0.0,
    softcap: float | None = None,
    logit_scale: float = 1.0,
    num_classes: int | None = None,
    class_mask: Tensor | None = None,
    out_dtype: torch.dtype | None = None,
    options: AnyOptions = None,
    validate: bool = False,
    return_statistics: Literal[True],
) -> tuple[Tensor, LossStatistics]: ...


@overridable
def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: Ignored | None = None,
    label_smoothing: float = 0.0,
    token_weight: Tensor | None = None,
    denominator: Tensor | float | None = None,
    z_loss: float = 0.0,
    softcap: float | None = None,
    logit_scale: float = 1.0,
    num_classes: int | None = None,
    class_mask: Tensor | None = None,
    out_dtype: torch.dtype | None = None,
    options: AnyOptions = None,
    validate: bool = False,
    return_statistics: bool = False,
) -> Tensor | tuple[Tensor, LossStatistics]:
    """Cross entropy of a linear head's logits against a target.

        L = cross_entropy(input @ linear_weight.T + linear_bias, target)

    The loss of a classifier or language model from its last hidden states and its head, in chunks: more than 2^20
    logits are never built, and memory beside the gradients stays within `options.memory_budget`. Products are in the
    promoted dtype (under autocast in autocast's; float16 on a CPU in float32), sums in float32, and each gradient is
    rounded once.

    Args:
        input: Hidden states (D), (N, D) or, beyond torch, (…, D).
        linear_weight: Head (C, D), or (C, d1, …, dK, D) for K-dimensional targets, which need input (N, D).
        target: Class indices in the rows' shape: input's without D, then d1, …, dK; or class probabilities in the
            logits' shape (…, C) or (N, C, d1, …, dK).
        linear_bias: Bias (C) or (C, d1, …, dK). Default: none.
        weight: Class weights (C), any floating dtype. Default: 1.
        reduction: "none", "mean" (weighted mean for class indices) or "sum".
        ignore_index: A target value whose rows are left out, or several; class indices only. None is -100.
        label_smoothing: Label smoothing ε in [0, 1]: the part of the target that is spread over the classes that count.
        token_weight: Weight of each row, in the rows' shape. Default: 1.
        denominator: What "mean" divides by; a number or a tensor of one element, and over no rows the loss is 0.
            Default: the weight of the rows that count, in sum.
        z_loss: λ ≥ 0 of the added term λ · lse², which draws the logsumexp of a row to 0.
        softcap: c > 0 of the cap c · tanh(z / c). Default: none.
        logit_scale: Factor on the logits, before the cap: 1 / T for a temperature T.
        num_classes: How many classes count, the first ones; the others pad the vocabulary. Default: all.
        class_mask: Which classes count, bool: (C) for all rows, or as the logits for each row. Default: all.
        out_dtype: Dtype of the returned loss. Default: the input's, and float32 under autocast.
        options: How to execute it, a `crossentropy.Options` or torch.nn.LinearCrossEntropyOptions. Default: as ours
            chooses.
        validate: Look at the values: hidden states, head, logits (in pieces), target, weights, whether a row counts.
        return_statistics: Return `(loss, LossStatistics)`: what a training log wants of each row, in the same pass.

    Returns:
        The loss: a scalar, or the rows' shape for "none"; in the promoted dtype of input and head (float32 under
        autocast), or out_dtype. The mean over no rows is nan, with zero gradients.

    Raises:
        ValueError: A shape, device, number or reduction does not fit. Also a RuntimeError where torch raises that.
        TypeError: A type or dtype does not fit. Also a RuntimeError.
        IndexError: A label is out of range (where it can be read; else the loss is nan, see the module's text).

    Examples:
        >>> hidden, head = torch.eye(2), torch.tensor([[2.0, 0.0], [0.5, 0.0], [0.0, 3.0]])
        >>> linear_cross_entropy(hidden, head, torch.tensor([0, 2]))
        tensor(0.2006)

    See Also:
        `cross_entropy`; `linear_kl_div`, against a teacher instead of a target.

    References:
        torch.nn.functional.linear_cross_entropy; E. Wijmans et al., Cut Your Losses in Large-Vocabulary Language
        Models, 2024.
    """
    plain = weight is None and token_weight is None and denominator is None
    plain = plain and num_classes is None and class_mask is None and not return_statistics
    tiny = None
    ignored = -100 if ignore_index is None else ignore_index
    unchanged = plain and _untouched(label_smoothing, z_loss, softcap, logit_scale, out_dtype, options)
    if unchanged and isinstance(ignored, int):
        tiny = _tiny.linear_cross_entropy(input, linear_weight, linear_bias, target, ignored, reduction)
        if tiny is not None and not validate:
            return tiny
    linear_weight, linear_bias = first_of_head(num_classes, linear_weight, linear_bias)
    shape = check_linear(input, linear_weight, linear_bias)
    tensors, spec = contract.resolve(
        LossTensors(input, target, weight, token_weight, denominator, linear_weight, linear_bias),
        shape,
        input.dim() - 1,
        reduction=reduction,
        ignore_index=ignored,
        label_smoothing=label_smoothing,
        z_loss=z_loss,
        softcap=softcap,
        logit_scale=logit_scale,
        out_dtype=out_dtype,
        options=options,
    )
    found = _finished(tensors, spec, shape, class_mask, options, validate, return_statistics)
    return found if tiny is None else tiny


def _finished(
    tensors: LossTensors,
    spec: LossSpec,
    shape: torch.Size,
    class_mask: Tensor | None,
    options: AnyOptions,
    validate: bool,
    return_statistics: bool,
) -> Tensor | tuple[Tensor, LossStatistics]:
    """Cross entropy of resolved tensors, in which the classes of a mask count."""
    tensors, spec, shape, absent = masked(tensors, spec, shape, class_mask)
    loss = contract.make_loss("cross_entropy", shape, ((tensors, spec),), options, absent)
    if validate:
        _execution.check(loss, tensors, spec)
    run = observed if return_statistics else _execution.reduced
    return run(loss, tensors, spec, options)


def _untouched(label_smoothing: object, z_loss: object, softcap: object, logit_scale: object, *others: object) -> bool:
    """Whether settings have their defaults; a tensor is no default, whatever it holds."""
    return (
        type(label_smoothing) is float
        and label_smoothing == 0.0
        and type(z_loss) is float
        and z_loss == 0.0
        and type(logit_scale) is float
        and logit_scale == 1.0
        and softcap is None
        and others == (None, None)
    )


@overridable
def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
    *,
    validate: bool = False,
) -> Tensor:
    """Kullback–Leibler divergence loss of log-probabilities against probabilities, element by element.

        L = p · (log p − l),   0 where p = 0          mean = Σ L / number of elements    batchmean = Σ L / N

    Summed over the classes and averaged over the batch ("batchmean") it is KL(p‖q) with l = log q. The default "mean"
    also divides by the number of classes; it is torch's, and warns.

    Args:
        input: Log-probabilities l, any shape.
        target: Probabilities p, in the input's shape (or one that broadcasts with it); their logarithms if log_target.
        size_average: Deprecated, see reduction.
        reduce: Deprecated, see reduction.
        reduction: "none", "mean", "batchmean" or "sum".
        log_target: Whether target holds log-probabilities.
        validate: Look at the values: log-probabilities above 0, probabilities outside [0, 1].

    Returns:
        The loss: a scalar, or the broadcast shape for "none"; in the promoted dtype (float32 under autocast). In nats.

    Raises:
        ValueError: The shapes do not broadcast, devices differ, or the reduction is unknown. Also a RuntimeError where
            torch raises that.
        TypeError: An argument is not a floating tensor. Also a RuntimeError.

    Examples:
        >>> log_q, p = torch.tensor([[0.1, 0.2, 0.7]]).log(), torch.tensor([[0.0, 1.0, 0.0]])
        >>> kl_div(log_q, p, reduction="batchmean")
        tensor(1.6094)

    See Also:
        `crossentropy.information.kl_divergence`, the quantity, from probabilities or logits; `linear_kl_div`.

    References:
        torch.nn.functional.kl_div.
    """
    legacy = size_average is not None or reduce is not None
    reduction = contract.resolve_reduction(reduction, size_average, reduce)
    contract.check_reduction(reduction, ("none", "mean", "batchmean", "sum"))
    check_floating("input", input)
    check_divergence_target(input, target)
    check_same_device(input=input, target=target)
    check_broadcast(input=input, target=target)
    distributed = sharding.together({"input": input, "target": target}, {"target": (input.shape,)})
    input, target = distributed.values()
    sharding.check_log_probabilities(input)
    if reduction == "mean" and not legacy and not torch.compiler.is_compiling():
        warn("reduction 'mean' divides by the number of classes too; 'batchmean' is the Kullback–Leibler divergence")
    if validate:
        _validation.check_kl_div(input, target, log_target, reduction)
    loss = _execution.kl_terms(input, target, log_target)
    out_dtype, count = contract.dtypes(input, (target,), None)[1], loss.numel()
    if reduction != "none":
        loss = sharding.replicated(loss.sum())
    if reduction == "mean":
        loss = loss / count
    if reduction == "batchmean" and input.dim() > 0:
        loss = loss / input.shape[0]
    return loss.to(out_dtype)


def __getattr__(name: str) -> NoReturn:
    """Say where the rest of torch.nn.functional is."""
    raise no_attribute(__name__, name, F, __all__)


__dir__: Listing = listing(__name__)
