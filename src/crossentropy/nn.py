"""The classes beside the functions: drop-in for torch.nn.

    CrossEntropyLoss        cross_entropy               Softmax      softmax
    LinearCrossEntropyLoss  linear_cross_entropy        LogSoftmax   log_softmax
    NLLLoss                 nll_loss                    KLDivLoss    kl_div
    BCEWithLogitsLoss       binary_cross_entropy_with_logits         BCELoss      binary_cross_entropy

and of a student and a teacher, which torch has not

    KLDivWithLogitsLoss     kl_div_with_logits          JSDivWithLogitsLoss    js_div_with_logits
    LinearKLDivLoss         linear_kl_div               LinearJSDivLoss        linear_js_div

Constructors, attributes and state_dict keys are torch's, so checkpoints go on working, and so does `isinstance`: each
is a subclass of torch's class of its name (but LinearCrossEntropyLoss, which torch has only since 2.13). A class holds
the settings of its function; see `crossentropy.functional` for formulae, shapes and errors. Beyond torch, the losses
take

- the settings `z_loss, softcap, logit_scale, out_dtype, options`, in the constructor;
- `token_weight`, `denominator` and `class_mask`, which differ from batch to batch, in the call;
- `validate=True`, which looks at the values of each batch, as the functions do.

`repr` shows the settings that are not the defaults.
"""

import math
from typing import NoReturn

import torch
from torch import Tensor

from crossentropy import _contract as contract
from crossentropy import functional as F
from crossentropy._contract import AnyOptions, Ignored
from crossentropy._errors import no_attribute
from crossentropy._exports import Listing, listing
from crossentropy._keywords import hinting
from crossentropy._modules._settings import settings
from crossentropy._modules.binary import BCELoss, BCEWithLogitsLoss
from crossentropy._modules.divergence import (
    JSDivWithLogitsLoss,
    KLDivWithLogitsLoss,
    LinearJSDivLoss,
    LinearKLDivLoss,
)
from crossentropy._modules.heads import CosineCrossEntropyLoss, LinearTopKKLDivLoss, SampledLinearCrossEntropyLoss
from crossentropy._modules.row import FocalLoss, GeneralizedCrossEntropyLoss, Poly1Loss
from crossentropy._tensors import check_class_weight, check_setting_of_weight, check_sizes
from crossentropy._values import check_axis

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CosineCrossEntropyLoss",
    "CrossEntropyLoss",
    "FocalLoss",
    "GeneralizedCrossEntropyLoss",
    "JSDivWithLogitsLoss",
    "KLDivLoss",
    "KLDivWithLogitsLoss",
    "LinearCrossEntropyLoss",
    "LinearJSDivLoss",
    "LinearKLDivLoss",
    "LinearTopKKLDivLoss",
    "LogSoftmax",
    "NLLLoss",
    "Poly1Loss",
    "SampledLinearCrossEntropyLoss",
    "Softmax",
]

_MODULE_FRAMES = 3
"""Frames between a user's `module(input)` and our forward: forward itself and torch's two call wrappers."""


class Softmax(torch.nn.Softmax):
    """Softmax along an axis: `functional.softmax` as a module.

    Args:
        dim: The axis along which the result sums to 1. Implicit choice is deprecated, with torch's warning.
        validate: Look at the values, as `functional.softmax`.

    Shape:
        input, result: any, equal.

    Raises:
        IndexError: `dim` is not an axis of the input.
        TypeError: The input is not of a floating dtype.

    Examples:
        >>> Softmax(dim=0)(torch.tensor([1.0, 2.0, 3.0]))
        tensor([0.0900, 0.2447, 0.6652])

    See Also:
        `LogSoftmax`.

    References:
        torch.nn.Softmax.
    """

    @hinting
    def __init__(self, dim: int | None = None, *, validate: bool = False) -> None:
        if dim is not None:
            check_axis("input", dim)
        super().__init__(dim)
        self.validate = validate

    def forward(self, input: Tensor) -> Tensor:
        """Probabilities of the logits `input`."""
        return F.softmax(input, self.dim, _stacklevel=3 + _MODULE_FRAMES, validate=self.validate)

    def extra_repr(self) -> str:
        """The settings."""
        return settings(self, Softmax)


class LogSoftmax(torch.nn.LogSoftmax):
    """Logarithm of the softmax along an axis: `functional.log_softmax` as a module.

    Args:
        dim: The class axis. Implicit choice is deprecated, with torch's warning.
        validate: Look at the values, as `functional.log_softmax`.

    Shape:
        input, result: any, equal.

    Raises:
        IndexError: `dim` is not an axis of the input.
        TypeError: The input is not of a floating dtype.

    Examples:
        >>> LogSoftmax(dim=0)(torch.tensor([60.0, 0.0]))
        tensor([-8.7565e-27, -6.0000e+01])

    See Also:
        `NLLLoss`, which takes the result; `CrossEntropyLoss`, which does both.

    References:
        torch.nn.LogSoftmax.
    """

    @hinting
    def __init__(self, dim: int | None = None, *, validate: bool = False) -> None:
        if dim is not None:
            check_axis("input", dim)
        super().__init__(dim)
        self.validate = validate

    def forward(self, input: Tensor) -> Tensor:
        """Log-probabilities of the logits `input`."""
        return F.log_softmax(input, self.dim, _stacklevel=3 + _MODULE_FRAMES, validate=self.validate)

    def extra_repr(self) -> str:
        """The settings."""
        return settings(self, LogSoftmax)


class NLLLoss(torch.nn.NLLLoss):
    """Negative log likelihood: `functional.nll_loss` as a module.

    Args:
        weight: Class weights (C), any floating dtype; a buffer of the module. Default: 1.
        size_average: Deprecated, see reduction.
        ignore_index: The label whose rows are left out: padding, prompts.
        reduce: Deprecated, see reduction.
        reduction: "none", "mean" (weighted mean) or "sum".
        validate: Look at the values, as `functional.nll_loss`.

    Shape:
        input (C), (N, C) or (N, C, d1, …, dK); target (), (N) or (N, d1, …, dK); result a scalar, or the target's
        shape for "none".

    Raises:
        ValueError, TypeError, IndexError: As `functional.nll_loss`.

    Examples:
        >>> loss = NLLLoss()
        >>> loss(torch.tensor([[0.1, 0.2, 0.7]]).log(), torch.tensor([1]))
        tensor(1.6094)

    See Also:
        `CrossEntropyLoss`, for logits.

    References:
        torch.nn.NLLLoss.
    """

    @hinting
    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
        *,
        validate: bool = False,
    ) -> None:
        check_setting_of_weight(weight)
        contract.check_deprecated(size_average, reduce)
        super().__init__(weight, size_average, ignore_index, reduce, reduction)
        self.validate = validate

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Loss of log-probabilities `input` against class indices `target`."""
        return F.nll_loss(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            validate=self.validate,
        )

    def extra_repr(self) -> str:
        """The settings."""
        return settings(self, NLLLoss)


class KLDivLoss(torch.nn.KLDivLoss):
    """Kullback–Leibler divergence, element by element: `functional.kl_div` as a module.

    Args:
        size_average: Deprecated, see reduction.
        reduce: Deprecated, see reduction.
        reduction: "none", "mean" (torch's default, which also divides by the classes, and warns), "batchmean" or "sum".
        log_target: Whether the target holds log-probabilities.
        validate: Look at the values, as `functional.kl_div`.

    Shape:
        input, target: any, equal; result a scalar, or the same for "none".

    Raises:
        ValueError, TypeError: As `functional.kl_div`.

    Examples:
        >>> loss = KLDivLoss(reduction="batchmean")
        >>> loss(torch.tensor([[0.1, 0.2, 0.7]]).log(), torch.tensor([[0.0, 1.0, 0.0]]))
        tensor(1.6094)

    See Also:
        `crossentropy.information.kl_divergence`.

    References:
        torch.nn.KLDivLoss.
    """

    @hinting
    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        log_target: bool = False,
        *,
        validate: bool = False,
    ) -> None:
        contract.check_deprecated(size_average, reduce)
        super().__init__(size_average, reduce, reduction, log_target)
        self.validate = validate

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Loss of log-probabilities `input` against probabilities `target`."""
        return F.kl_div(input, target, reduction=self.reduction, log_target=self.log_target, validate=self.validate)

    def extra_repr(self) -> str:
        """The settings."""
        return settings(self, KLDivLoss)


class CrossEntropyLoss(torch.nn.CrossEntropyLoss):
    """Cross entropy of logits: `functional.cross_entropy` as a module.

    Args:
        weight: Class weights (C), any floating dtype; a buffer of the module. Default: 1.
        size_average: Deprecated, see reduction.
        ignore_index: A target value whose rows are left out, or several; class indices only.
        reduce: Deprecated, see reduction.
        reduction: "none", "mean" (weighted mean for class indices) or "sum".
        label_smoothing: Label smoothing ε in [0, 1]: the part of the target that is spread over the classes.
        z_loss: λ ≥ 0 of the added term λ · lse², which draws the logsumexp of a row to 0.
        softcap: c > 0 of the cap c · tanh(z / c). Default: none.
        logit_scale: Factor on the logits, before the cap: 1 / T for a temperature T.
        out_dtype: Dtype of the returned loss. Default: the input's, and float32 under autocast.
        options: How to execute it, a `crossentropy.Options`. Default: as it chooses.
        validate: Look at the values, as `functional.cross_entropy`.

    Shape:
        input (C), (N, C) or (N, C, d1, …, dK); target (), (N) or (N, d1, …, dK), or the input's shape for class
        probabilities; token_weight the rows' shape; result a scalar, or the rows' shape for "none".

    Raises:
        ValueError, TypeError, IndexError: As `functional.cross_entropy`.

    Examples:
        >>> loss = CrossEntropyLoss(label_smoothing=0.1)
        >>> loss(torch.tensor([[2.0, 0.5, 0.0]]), torch.tensor([0]))
        tensor(0.4230)

    See Also:
        `LinearCrossEntropyLoss`, which holds the head as well.

    References:
        torch.nn.CrossEntropyLoss.
    """

    @hinting
    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: Ignored = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        *,
        z_loss: float = 0.0,
        softcap: float | None = None,
        logit_scale: float = 1.0,
        out_dtype: torch.dtype | None = None,
        options: AnyOptions = None,
        validate: bool = False,
    ) -> None:
        check_setting_of_weight(weight)
        contract.check_deprecated(size_average, reduce)
        contract.check_extras(z_loss, softcap, logit_scale, out_dtype, options)
        super().__init__(weight, size_average, ignore_index, reduce, reduction, label_smoothing)  # pyright: ignore[reportArgumentType]
        self.z_loss = z_loss
        self.softcap = softcap
        self.logit_scale = logit_scale
        self.out_dtype = out_dtype
        self.options: AnyOptions = options
        self.validate = validate

    def forward(
        self,
        input: Tensor,
        target: Tensor,
        *,
        token_weight: Tensor | None = None,
        denominator: Tensor | float | None = None,
        class_mask: Tensor | None = None,
    ) -> Tensor:
        """Loss of logits `input` against `target`."""
        return F.cross_entropy(
            input,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
            token_weight=token_weight,
            denominator=denominator,
            class_mask=class_mask,
            z_loss=self.z_loss,
            softcap=self.softcap,
            logit_scale=self.logit_scale,
            out_dtype=self.out_dtype,
            options=self.options,
            validate=self.validate,
        )

    def extra_repr(self) -> str:
        """The settings."""
        return settings(self, CrossEntropyLoss)


class LinearCrossEntropyLoss(torch.nn.Module):
    """Cross entropy of a linear head that the module holds: `functional.linear_cross_entropy` as a module.

    The head is `self.linear`, a torch.nn.Linear with C · d1 · … · dK outputs, as in torch's class of this name.

    Args:
        in_features: D, the size of a hidden state.
        num_classes: C.
        out_features: (d1, …, dK) for K-dimensional targets.
        bias: Whether the head has a bias.
        device: Device of the head. Default: torch's.
        dtype: Dtype of the head. Default: torch's.
        reduction: "none", "mean" (weighted mean for class indices) or "sum".
        weight: Class weights (C), any floating dtype; a buffer of the module. Default: 1.
        ignore_index: A target value whose rows are left out, or several; class indices only. None is -100.
        label_smoothing: Label smoothing ε in [0, 1]: the part of the target that is spread over the classes.
        options: How to execute it, a `crossentropy.Options` or torch.nn.LinearCrossEntropyOptions. Default: as ours
            chooses.
        z_loss: λ ≥ 0 of the added term λ · lse², which draws the logsumexp of a row to 0.
        softcap: c > 0 of the cap c · tanh(z / c). Default: none.
        logit_scale: Factor on the logits, before the cap: 1 / T for a temperature T.
        out_dtype: Dtype of the returned loss. Default: the input's, and float32 under autocast.
        validate: Look at the values, as `functional.linear_cross_entropy`.

    Shape:
        input (…, D), or (N, D) with out_features; target and token_weight (…) or (N, d1, …, dK), or (…, C) or
        (N, C, d1, …, dK) for class probabilities; result a scalar, or the rows' shape for "none".

    Raises:
        ValueError, TypeError, IndexError: As `functional.linear_cross_entropy`, the constructor for what it is given.

    Examples:
        >>> loss = LinearCrossEntropyLoss(16, 10)
        >>> loss(torch.zeros(4, 16), torch.tensor([0, 1, 2, 3]))
        tensor(2.3026, grad_fn=...)

    See Also:
        `CrossEntropyLoss`.

    References:
        torch.nn.LinearCrossEntropyLoss.
    """

    @hinting
    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        out_features: tuple[int, ...] = (),
        bias: bool = False,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
        reduction: str = "mean",
        weight: Tensor | None = None,
        ignore_index: Ignored | None = None,
        label_smoothing: float = 0.0,
        options: AnyOptions = None,
        z_loss: float = 0.0,
        softcap: float | None = None,
        logit_scale: float = 1.0,
        out_dtype: torch.dtype | None = None,
        validate: bool = False,
    ) -> None:
        check_sizes(in_features, num_classes, out_features)
        check_class_weight(weight, num_classes)
        contract.check_reduction(reduction)
        contract.smoothing(label_smoothing)
        if ignore_index is not None:
            contract.labels_to_ignore(ignore_index)
        contract.check_extras(z_loss, softcap, logit_scale, out_dtype, options)
        super().__init__()
        self.register_buffer("weight", weight)
        self.weight: Tensor | None
        self.reduction = reduction
        self.num_classes = num_classes
        self.out_features: tuple[int, ...] = tuple(out_features)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing
        self.linear: torch.nn.Linear = torch.nn.Linear(
            in_features, math.prod(out_features, start=num_classes), bias=bias, device=device, dtype=dtype
        )
        self.options: AnyOptions = options
        self.z_loss = z_loss
        self.softcap = softcap
        self.logit_scale = logit_scale
        self.out_dtype = out_dtype
        self.validate = validate

    def forward(
        self,
        input: Tensor,
        target: Tensor,
        *,
        token_weight: Tensor | None = None,
        denominator: Tensor | float | None = None,
        class_mask: Tensor | None = None,
    ) -> Tensor:
        """Loss of hidden states `input` under the module's head against `target`."""
        positions = (self.num_classes, *self.out_features)
        return F.linear_cross_entropy(
            input,
            self.linear.weight.unflatten(0, positions),
            target,
            linear_bias=None if self.linear.bias is None else self.linear.bias.unflatten(0, positions),
            weight=self.weight,
            reduction=self.reduction,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            token_weight=token_weight,
            denominator=denominator,
            class_mask=class_mask,
            z_loss=self.z_loss,
            softcap=self.softcap,
            logit_scale=self.logit_scale,
            out_dtype=self.out_dtype,
            options=self.options,
            validate=self.validate,
        )

    def extra_repr(self) -> str:
        """The settings."""
        sizes = f"in_features={self.linear.in_features}, num_classes={self.num_classes}"
        bias = ["bias=True"] if self.linear.bias is not None else []
        return ", ".join([sizes, *bias, *filter(None, [settings(self, LinearCrossEntropyLoss)])])


def __getattr__(name: str) -> NoReturn:
    """Say where the rest of torch.nn is."""
    raise no_attribute(__name__, name, torch.nn, __all__)


__dir__: Listing = listing(__name__)
