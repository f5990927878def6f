"""Losses and their parts: drop-in for torch.nn.functional, and what torch does not have.

    softmax(z)_c = exp(z_c) / Σ exp(z)          log_softmax(z) = z − lse(z)          lse(z) = log Σ exp(z)
    nll_loss(l, y) = −l_y                       cross_entropy(z, y) = nll_loss(log_softmax(z), y)
    linear_cross_entropy(h, W, y) = cross_entropy(h Wᵀ, y)                           kl_div(l, p) = p (log p − l)

N rows (samples, tokens) · C classes · D in_features · z logits (C), (N, C) or (N, C, d1, …, dK) · y target: class
indices (), (N) or (N, d1, …, dK), or class probabilities in the logits' shape · l log-probabilities · h hidden states
(…, D) · W linear_weight (C, D).

Names, order and defaults are torch's, so that `import crossentropy.functional as F` replaces
`import torch.nn.functional as F` for these functions. What differs:

- Any integer dtype is a target, at any rank; any floating dtype a class weight, and class weights have gradients.
- Half-precision input is summed in float32 and rounded once.
- A row that is ignored is not read: nan or inf in it reaches neither loss nor gradient. 0 · (−inf) is 0.
- A tiny loss, and the target's gradient, keep relative accuracy.
- Wrong arguments raise an error that says what to do. A label out of range raises IndexError where values can be read
  at once (CPU tensors, outside torch.compile and vmap). Elsewhere, on CUDA in particular, it makes the loss and the
  row's gradient nan: no device-side assertion ends the process, and no wait is added to the program. The classes of
  `crossentropy.nn` take validate=True to wait and raise everywhere.

`cross_entropy` and `linear_cross_entropy` share these keyword-only additions:

    token_weight  weight of each row, in the rows' shape; a row of weight 2 counts as two rows, in the mean's
                  denominator too
    denominator   what "mean" divides by instead of the number (weight) of rows: say, the tokens of all accumulated
                  or sharded batches
    z_loss        λ ≥ 0; adds λ · lse² to each row, weighted in the mean like the row itself
    softcap       c > 0; the logits become c · tanh(z / c), after logit_scale. A logit of −inf becomes −c
    logit_scale   the logits are multiplied by it
    out_dtype     dtype of the returned loss
    options       crossentropy.Options or torch.nn.LinearCrossEntropyOptions: how to execute, never what to compute
"""

import functools
import warnings
from collections.abc import Callable
from typing import NamedTuple, NoReturn, TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function

from crossentropy import _autograd, _tiny
from crossentropy import _contract as contract
from crossentropy import _sharding as sharding
from crossentropy._backends import reference
from crossentropy._contract import AnyOptions, Loss, LossSpec, LossTensors, Options
from crossentropy._errors import ArgumentValueError, no_attribute
from crossentropy._logspace import log_softmax as _log_softmax
from crossentropy._logspace import wide
from crossentropy._reduction import reduce
from crossentropy._values import axis, check_broadcast

__all__ = [
    "TokenStatistics",
    "cross_entropy",
    "kl_div",
    "linear_cross_entropy",
    "linear_kl_div",
    "log_softmax",
    "nll_loss",
    "softmax",
    "token_statistics",
]


_Function = TypeVar("_Function", bound=Callable[..., object])


def _overridable(function: _Function) -> _Function:
    """Let tensor subclasses and tracers among the arguments override the function, as they can torch's own."""

    @functools.wraps(function)
    def overridable(*args, **kwargs):  # noqa: ANN002, ANN003, ANN202 (those of the function)
        relevant = (*args, *kwargs.values()) if kwargs else args
        if has_torch_function(relevant):
            return handle_torch_function(overridable, relevant, *args, **kwargs)
        return function(*args, **kwargs)

    return cast(_Function, overridable)


@_overridable
def softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: torch.dtype | None = None) -> Tensor:
    """Softmax along an axis.

        softmax(z)_c = exp(z_c) / Σ_j exp(z_j)

    The probabilities that belong to logits z. This is torch's own, which meets the numerics of this package: half
    precision is summed in float32 and rounded once.

    Args:
        input: Logits, any shape.
        dim: The axis along which the result sums to 1. Implicit choice is deprecated, with torch's warning.
        dtype: Convert the input to this dtype first.

    Returns:
        Probabilities, in the input's shape and dtype (or `dtype`).

    Raises:
        IndexError: `dim` is not an axis of `input`.
        TypeError: `input` is not of a floating dtype and `dtype` is not given.

    Examples:
        >>> softmax(torch.tensor([1.0, 2.0, 3.0]), dim=0)
        tensor([0.0900, 0.2447, 0.6652])

    See Also:
        `log_softmax`; `cross_entropy`, which takes the logits: do not put a softmax before it.

    References:
        torch.nn.functional.softmax.
    """
    if dtype is None:
        contract.check_floating("input", input)
    return F.softmax(input, dim, _stacklevel + 2, dtype)


@_overridable
def log_softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: torch.dtype | None = None
) -> Tensor:
    """Logarithm of the softmax along an axis.

        log_softmax(z)_c = z_c − log Σ_j exp(z_j)

    Never overflows, and keeps relative accuracy where a class is almost certain: there log p is computed as
    log1p(−Σ of the other classes), where torch gives 0.

    Args:
        input: Logits, any shape.
        dim: The class axis. Implicit choice is deprecated, with torch's warning.
        dtype: Convert the input to this dtype first.

    Returns:
        Log-probabilities, in the input's shape and dtype (or `dtype`; float32 under autocast).

    Raises:
        IndexError: `dim` is not an axis of `input`.
        TypeError: `input` is not of a floating dtype and `dtype` is not given.

    Examples:
        >>> log_softmax(torch.tensor([60.0, 0.0]), dim=0)
        tensor([-8.7565e-27, -6.0000e+01])

    See Also:
        `nll_loss`, which takes these; `cross_entropy`, which does both.

    References:
        torch.nn.functional.log_softmax.
    """
    if dtype is None:
        contract.check_floating("input", input)
        dtype = wide(input.dtype) if contract.under_autocast(input) else input.dtype
    else:
        input = input.to(dtype)
    if dim is None:
        dim = _implicit_axis(input, _stacklevel + 2)
    return _log_softmax(sharding.whole(input, dim).to(wide(input.dtype)), dim).to(dtype)


def _implicit_axis(input: Tensor, stacklevel: int) -> int:
    """The class axis that torch chooses where none is given, with its warning (which torch.compile cannot trace)."""
    if torch.compiler.is_compiling():
        return 0 if input.dim() in (0, 1, 3) else 1
    return F._get_softmax_dim("log_softmax", input.dim(), stacklevel)  # pyright: ignore[reportAttributeAccessIssue]


@_overridable
def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Negative log likelihood of class indices under log-probabilities.

        L_i = −w_{y_i} · l_{i, y_i}          mean = Σ L_i / Σ w_{y_i}, over rows that are not ignored

    Picks, from each row of log-probabilities, that of the target.

    Args:
        input: Log-probabilities (C), (N, C) or (N, C, d1, …, dK), as `log_softmax` gives them.
        target: Class indices (), (N) or (N, d1, …, dK), any integer dtype, in [0, C) or ignore_index.
        weight: Class weights (C), any floating dtype.
        size_average: Deprecated, see reduction.
        ignore_index: A target value whose rows are left out.
        reduce: Deprecated, see reduction.
        reduction: "none", "mean" (weighted mean) or "sum".

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
    reduction = contract.resolve_reduction(reduction, size_average, reduce)
    class_dim = contract.class_axis(input, target)
    tensors, spec = contract.resolve(
        LossTensors(input, target, weight),
        input.shape,
        class_dim,
        target_kind="indices",
        reduction=reduction,
        ignore_index=ignore_index,
    )
    sharding.check_log_probabilities(input)
    return _reduce(contract.make_loss("nll", input.shape, ((tensors, spec),)), tensors, spec, Options("reference"))


@_overridable
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    *,
    token_weight: Tensor | None = None,
    denominator: Tensor | float | None = None,
    z_loss: float = 0.0,
    softcap: float | None = None,
    logit_scale: float = 1.0,
    out_dtype: torch.dtype | None = None,
    options: AnyOptions = None,
) -> Tensor:
    """Cross entropy of logits against a target.

        L_i = −Σ_c w_c p_ic log softmax(z_i)_c,   p one-hot for class indices, smoothed to (1−ε) p + ε/C
        mean = Σ L_i / Σ w_{y_i} (indices)   or   Σ L_i / N (probabilities)

    The average information, in nats, that the targets carry for someone who believes the model; equal to
    `nll_loss(log_softmax(input), target)` for class indices.

    Args:
        input: Logits (C), (N, C) or (N, C, d1, …, dK); not probabilities.
        target: Class indices (), (N) or (N, d1, …, dK), any integer dtype, in [0, C) or ignore_index; or class
            probabilities in the input's shape.
        weight: Class weights (C), any floating dtype.
        size_average: Deprecated, see reduction.
        ignore_index: A target value whose rows are left out; class indices only.
        reduce: Deprecated, see reduction.
        reduction: "none", "mean" (weighted mean for class indices) or "sum".
        label_smoothing: ε in [0, 1].
        token_weight: Weight of each row, in the rows' shape.
        denominator: What "mean" divides by; a number or a tensor of one element. Over no rows, the loss is 0.
        z_loss: λ of the added term λ · lse².
        softcap: c of the cap c · tanh(z / c).
        logit_scale: Factor on the logits, before the cap.
        out_dtype: Dtype of the returned loss.
        options: `crossentropy.Options`.

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
    if plain and _untouched(label_smoothing, z_loss, softcap, logit_scale, out_dtype, options):
        loss = _tiny.cross_entropy(input, target, ignore_index, reduction)
        if loss is not None:
            return loss
    reduction = contract.resolve_reduction(reduction, size_average, reduce)
    class_dim = contract.class_axis(input, target)
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
    return _reduce(
        contract.make_loss("cross_entropy", input.shape, ((tensors, spec),), options), tensors, spec, options
    )


@_overridable
def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
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
        linear_bias: Bias (C) or (C, d1, …, dK).
        weight: Class weights (C), any floating dtype.
        reduction: "none", "mean" (weighted mean for class indices) or "sum".
        ignore_index: A target value whose rows are left out; class indices only. None is -100.
        label_smoothing: ε in [0, 1].
        token_weight: Weight of each row, in the rows' shape.
        denominator: What "mean" divides by; a number or a tensor of one element. Over no rows, the loss is 0.
        z_loss: λ of the added term λ · lse².
        softcap: c of the cap c · tanh(z / c).
        logit_scale: Factor on the logits, before the cap.
        out_dtype: Dtype of the returned loss.
        options: `crossentropy.Options` or torch.nn.LinearCrossEntropyOptions.

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
    if plain and _untouched(label_smoothing, z_loss, softcap, logit_scale, out_dtype, options):
        ignored = -100 if ignore_index is None else ignore_index
        loss = _tiny.linear_cross_entropy(input, linear_weight, linear_bias, target, ignored, reduction)
        if loss is not None:
            return loss
    shape = contract.check_linear(input, linear_weight, linear_bias)
    tensors, spec = contract.resolve(
        LossTensors(input, target, weight, token_weight, denominator, linear_weight, linear_bias),
        shape,
        input.dim() - 1,
        reduction=reduction,
        ignore_index=-100 if ignore_index is None else ignore_index,
        label_smoothing=label_smoothing,
        z_loss=z_loss,
        softcap=softcap,
        logit_scale=logit_scale,
        out_dtype=out_dtype,
        options=options,
    )
    return _reduce(contract.make_loss("cross_entropy", shape, ((tensors, spec),), options), tensors, spec, options)


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


def _reduce(loss: Loss, tensors: LossTensors, spec: LossSpec, options: AnyOptions) -> Tensor:
    execute = functools.partial(_autograd.execute, backend=contract.backend(options))
    return reduce(loss, tensors, spec.reduction, spec.out_dtype, execute)


@_overridable
def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
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
    contract.check_floating("input", input)
    contract.check_floating("target", target)
    contract.check_same_device(input=input, target=target)
    check_broadcast(input=input, target=target)
    input, target = sharding.element_by_element(input, target)
    if reduction == "mean" and not legacy and not torch.compiler.is_compiling():
        warnings.warn(
            "reduction 'mean' divides by the number of classes too; 'batchmean' is the Kullback–Leibler divergence",
            stacklevel=3,
        )
    loss = reference.kl_div(input, target, log_target)
    out_dtype = contract.dtypes(input, (target,), None)[1]
    if reduction == "mean":
        loss = loss.sum() / loss.numel()
    elif reduction != "none":
        loss = loss.sum()
    if reduction == "batchmean" and input.dim() > 0:
        loss = loss / input.shape[0]
    return loss.to(out_dtype)


@_overridable
def linear_kl_div(
    input: Tensor,
    linear_weight: Tensor,
    teacher_input: Tensor,
    teacher_weight: Tensor,
    *,
    linear_bias: Tensor | None = None,
    teacher_bias: Tensor | None = None,
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
    """Distillation loss of a student's linear head against a teacher's.

        L_i = KL(softmax(z'_i / T) ‖ softmax(z_i / T))      z = h Wᵀ + b of the student, z' of the teacher

    What it costs to believe the student where the teacher is right; 0 when their distributions agree. Gradients flow
    to whatever requires them, the teacher included. Gradients shrink as 1/T²: multiply the loss by T² to keep the
    weight of this loss among others independent of the temperature.

    Args:
        input: Student's hidden states (…, D).
        linear_weight: Student's head (C, D).
        teacher_input: Teacher's hidden states (…, D'), with the same leading axes.
        teacher_weight: Teacher's head (C, D').
        linear_bias: Student's bias (C).
        teacher_bias: Teacher's bias (C).
        reduction: "none", "mean" (over rows, weighted) or "sum".
        token_weight: Weight of each row (…); 0 leaves a row, padding say, out.
        denominator: What "mean" divides by; a number or a tensor of one element.
        temperature: T > 0, dividing both logits after scale and cap.
        softcap: Student's cap c, z becomes c · tanh(z / c).
        teacher_softcap: Teacher's cap.
        logit_scale: Factor on the student's logits, before the cap.
        teacher_logit_scale: Factor on the teacher's logits.
        out_dtype: Dtype of the returned loss.
        options: `crossentropy.Options`.

    Returns:
        The loss: a scalar, or (…) for "none"; in the student's promoted dtype (float32 under autocast), or out_dtype.
        In nats.

    Raises:
        ValueError: A shape, device, number or reduction does not fit.
        TypeError: A type or dtype does not fit.

    Examples:
        >>> hidden, head = torch.eye(2), torch.tensor([[2.0, 0.0], [0.5, 0.0], [0.0, 3.0]])
        >>> linear_kl_div(hidden, head, hidden, 2 * head)
        tensor(0.1057)

    See Also:
        `linear_cross_entropy`; `crossentropy.information.kl_divergence`.

    References:
        G. Hinton, O. Vinyals, J. Dean, Distilling the Knowledge in a Neural Network, 2015.
    """
    shape = contract.check_linear(input, linear_weight, linear_bias)
    teacher_names = ("teacher_input", "teacher_weight", "teacher_bias")
    teacher_shape = contract.check_linear(teacher_input, teacher_weight, teacher_bias, names=teacher_names)
    contract.check_distillation(shape, teacher_shape, linear_weight)
    contract.check_same_device(input=input, teacher_input=teacher_input)
    student, spec = contract.resolve(
        LossTensors(
            input,
            token_weight=token_weight,
            denominator=denominator,
            linear_weight=linear_weight,
            linear_bias=linear_bias,
        ),
        shape,
        input.dim() - 1,
        target_kind="none",
        reduction=reduction,
        softcap=softcap,
        logit_scale=logit_scale,
        temperature=temperature,
        out_dtype=out_dtype,
        options=options,
    )
    teacher, teacher_spec = contract.resolve(
        LossTensors(teacher_input, linear_weight=teacher_weight, linear_bias=teacher_bias),
        teacher_shape,
        input.dim() - 1,
        prefix="teacher_",
        target_kind="none",
        softcap=teacher_softcap,
        logit_scale=teacher_logit_scale,
        temperature=temperature,
    )
    loss = contract.make_loss("divergence", shape, ((student, spec), (teacher, teacher_spec)), options)
    return _reduce(loss, student, spec, options)


class TokenStatistics(NamedTuple):
    """What one pass over rows of logits tells; see `token_statistics`. Each field has the rows' shape."""

    log_prob: Tensor | None
    """log softmax(z)_y of the target y; 0 in ignored rows; None without a target. In nats."""
    entropy: Tensor
    """Entropy of softmax(z), in nats."""
    logsumexp: Tensor
    """log Σ exp(z)."""
    argmax: Tensor
    """Index of the largest logit, int64; not differentiable."""


def _overrides(x: Tensor) -> bool:
    """Whether a subclass has functions of its own. For others torch would make the wrong kind of tuple."""
    own = getattr(type(x).__torch_function__, "__func__", None)
    return own not in (None, Tensor.__torch_function__.__func__)


def token_statistics(
    input: Tensor,
    target: Tensor | None = None,
    *,
    linear_weight: Tensor | None = None,
    linear_bias: Tensor | None = None,
    dim: int = -1,
    ignore_index: int = -100,
    softcap: float | None = None,
    logit_scale: float = 1.0,
    out_dtype: torch.dtype | None = None,
    options: AnyOptions = None,
) -> TokenStatistics:
    """Statistics of rows of logits: log-probability of a target, entropy, logsumexp and argmax.

        log_prob = z_y − lse(z)      entropy = −Σ p log p,  p = softmax(z)      logsumexp = lse(z)

    What policy gradients, distillation and evaluation need of each token, in one pass; all but argmax differentiable.
    With a head the logits input @ linear_weight.T + linear_bias are never built.

    Args:
        input: Logits, (…, C, …), the classes along `dim`; with a head, hidden states (…, D).
        target: Class indices in the rows' shape (input's without `dim`), any integer dtype.
        linear_weight: Head (C, D).
        linear_bias: Bias (C).
        dim: The class axis; the last by default, as language models have it, and always with a head.
        ignore_index: A target value whose rows have log_prob 0. Their other statistics do not depend on the target.
        softcap: c of the cap c · tanh(z / c).
        logit_scale: Factor on the logits, before the cap; 1/T for a temperature T.
        out_dtype: Dtype of the statistics. Default: float32 for half precision, which holds 3 digits; else the input's.
        options: `crossentropy.Options`.

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
        `cross_entropy`; `crossentropy.information.entropy`.
    """
    contract.check_floating("input", input)
    if _overrides(input):
        return handle_torch_function(
            token_statistics, (input,), input, target, linear_weight=linear_weight, linear_bias=linear_bias, dim=dim,
            ignore_index=ignore_index, softcap=softcap, logit_scale=logit_scale, out_dtype=out_dtype, options=options,
        )  # fmt: skip
    shape, class_dim = input.shape, axis("input", input, dim)
    if linear_weight is not None:
        shape = contract.check_statistics_head(input, linear_weight, linear_bias, dim)
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
    loss = contract.make_loss("statistics", shape, ((tensors, spec),), options)
    rows, argmax = _autograd.statistics(loss, backend=contract.backend(options))
    log_prob, entropy, logsumexp = (row.clone() for row in rows)  # no views, which autograd lets nobody change
    dtype = wide(spec.out_dtype) if out_dtype is None else out_dtype
    entropy, logsumexp = entropy.to(dtype), logsumexp.to(dtype)
    return TokenStatistics(None if target is None else log_prob.to(dtype), entropy, logsumexp, argmax)


def __getattr__(name: str) -> NoReturn:
    """Say where the rest of torch.nn.functional is."""
    raise no_attribute(__name__, name, F, __all__)
