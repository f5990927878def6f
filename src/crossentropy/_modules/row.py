"""Losses that are a function of a row's statistics, as modules."""

from typing import Any

import torch
from torch import Tensor

from crossentropy import _contract as contract
from crossentropy import functional as F
from crossentropy._contract import AnyOptions, Ignored
from crossentropy._keywords import hinting
from crossentropy._modules._settings import settings
from crossentropy._tensors import check_setting_of_weight


class _RowLoss(torch.nn.Module):
    """What these losses have in common: all settings but their own."""

    weight: Tensor | None

    def __init__(
        self,
        *,
        weight: Tensor | None,
        reduction: str,
        ignore_index: Ignored,
        softcap: float | None,
        logit_scale: float,
        out_dtype: torch.dtype | None,
        options: AnyOptions,
        validate: bool,
    ) -> None:
        check_setting_of_weight(weight)
        contract.check_reduction(reduction)
        contract.labels_to_ignore(ignore_index)
        contract.check_extras(0.0, softcap, logit_scale, out_dtype, options)
        super().__init__()
        self.register_buffer("weight", weight)
        self.reduction = reduction
        self.ignore_index = ignore_index
        self.softcap = softcap
        self.logit_scale = logit_scale
        self.out_dtype = out_dtype
        self.options: AnyOptions = options
        self.validate = validate

    def _given(self, token_weight: Tensor | None, denominator: Tensor | float | None) -> dict[str, Any]:
        """The arguments of the function, but for its own."""
        names = (
            "weight", "reduction", "ignore_index", "softcap", "logit_scale", "out_dtype", "options", "validate"
        )  # fmt: skip
        return {"token_weight": token_weight, "denominator": denominator} | {
            name: getattr(self, name) for name in names
        }


class FocalLoss(_RowLoss):
    """Focal loss: `functional.focal_loss` as a module.

    Args:
        gamma: γ ≥ 0; 0 is cross entropy.
        weight: Class weights (C), any floating dtype; a buffer of the module. Default: 1.
        reduction: "none", "mean" (weighted by w_y, as cross_entropy's) or "sum".
        ignore_index: A target value whose rows are left out, or several.
        softcap: c > 0 of the cap c · tanh(z / c). Default: none.
        logit_scale: Factor on the logits, before the cap: 1 / T for a temperature T.
        out_dtype: Dtype of the returned loss. Default: the input's, and float32 under autocast.
        options: How to execute it, a `crossentropy.Options`. Default: as it chooses.
        validate: Look at the values, as `functional.focal_loss`.

    Shape:
        input (C), (N, C) or (N, C, d1, …, dK); target and token_weight the rows' shape; result a scalar, or the rows'
        shape for "none".

    Raises:
        ValueError, TypeError, IndexError: As `functional.focal_loss`.

    Examples:
        >>> loss = FocalLoss(gamma=2.0)
        >>> loss(torch.tensor([[2.0, 0.5, 0.0], [0.0, 0.0, 3.0]]), torch.tensor([0, 2]))
        tensor(0.0111)

    See Also:
        `CrossEntropyLoss`, with `weight` for classes that are rare.

    References:
        T.-Y. Lin et al., Focal Loss for Dense Object Detection, 2017.
    """

    @hinting
    def __init__(
        self,
        gamma: float = 2.0,
        *,
        weight: Tensor | None = None,
        reduction: str = "mean",
        ignore_index: Ignored = -100,
        softcap: float | None = None,
        logit_scale: float = 1.0,
        out_dtype: torch.dtype | None = None,
        options: AnyOptions = None,
        validate: bool = False,
    ) -> None:
        super().__init__(
            weight=weight, reduction=reduction, ignore_index=ignore_index, softcap=softcap, logit_scale=logit_scale,
            out_dtype=out_dtype, options=options, validate=validate,
        )  # fmt: skip
        self.gamma: float = contract.number("gamma", gamma, low=0.0)

    def forward(
        self,
        input: Tensor,
        target: Tensor,
        *,
        token_weight: Tensor | None = None,
        denominator: Tensor | float | None = None,
    ) -> Tensor:
        """Loss of logits `input` against class indices `target`."""
        given = self._given(token_weight, denominator)
        return F.focal_loss(input, target, gamma=self.gamma, **given)

    def extra_repr(self) -> str:
        """The settings."""
        return settings(self, FocalLoss)


class Poly1Loss(_RowLoss):
    """Poly-1 loss: `functional.poly1_loss` as a module.

    Args:
        epsilon: ε; 0 is cross entropy.
        weight: Class weights (C), any floating dtype; a buffer of the module. Default: 1.
        reduction: "none", "mean" (weighted by w_y, as cross_entropy's) or "sum".
        ignore_index: A target value whose rows are left out, or several.
        softcap: c > 0 of the cap c · tanh(z / c). Default: none.
        logit_scale: Factor on the logits, before the cap: 1 / T for a temperature T.
        out_dtype: Dtype of the returned loss. Default: the input's, and float32 under autocast.
        options: How to execute it, a `crossentropy.Options`. Default: as it chooses.
        validate: Look at the values, as `functional.poly1_loss`.

    Shape:
        input (C), (N, C) or (N, C, d1, …, dK); target and token_weight the rows' shape; result a scalar, or the rows'
        shape for "none".

    Raises:
        ValueError, TypeError, IndexError: As `functional.poly1_loss`.

    Examples:
        >>> loss = Poly1Loss(epsilon=1.0)
        >>> loss(torch.tensor([[2.0, 0.5, 0.0], [0.0, 0.0, 3.0]]), torch.tensor([0, 2]))
        tensor(0.3779)

    See Also:
        `CrossEntropyLoss`.

    References:
        Z. Leng et al., PolyLoss, 2022.
    """

    @hinting
    def __init__(
        self,
        epsilon: float = 1.0,
        *,
        weight: Tensor | None = None,
        reduction: str = "mean",
        ignore_index: Ignored = -100,
        softcap: float | None = None,
        logit_scale: float = 1.0,
        out_dtype: torch.dtype | None = None,
        options: AnyOptions = None,
        validate: bool = False,
    ) -> None:
        super().__init__(
            weight=weight, reduction=reduction, ignore_index=ignore_index, softcap=softcap, logit_scale=logit_scale,
            out_dtype=out_dtype, options=options, validate=validate,
        )  # fmt: skip
        self.epsilon: float = contract.number("epsilon", epsilon)

    def forward(
        self,
        input: Tensor,
        target: Tensor,
        *,
        token_weight: Tensor | None = None,
        denominator: Tensor | float | None = None,
    ) -> Tensor:
        """Loss of logits `input` against class indices `target`."""
        given = self._given(token_weight, denominator)
        return F.poly1_loss(input, target, epsilon=self.epsilon, **given)

    def extra_repr(self) -> str:
        """The settings."""
        return settings(self, Poly1Loss)


class GeneralizedCrossEntropyLoss(_RowLoss):
    """Generalised cross entropy: `functional.generalized_cross_entropy` as a module.

    Args:
        q: In [0, 1]; 0 is cross entropy, 1 the mean absolute error.
        weight: Class weights (C), any floating dtype; a buffer of the module. Default: 1.
        reduction: "none", "mean" (weighted by w_y, as cross_entropy's) or "sum".
        ignore_index: A target value whose rows are left out, or several.
        softcap: c > 0 of the cap c · tanh(z / c). Default: none.
        logit_scale: Factor on the logits, before the cap: 1 / T for a temperature T.
        out_dtype: Dtype of the returned loss. Default: the input's, and float32 under autocast.
        options: How to execute it, a `crossentropy.Options`. Default: as it chooses.
        validate: Look at the values, as `functional.generalized_cross_entropy`.

    Shape:
        input (C), (N, C) or (N, C, d1, …, dK); target and token_weight the rows' shape; result a scalar, or the rows'
        shape for "none".

    Raises:
        ValueError, TypeError, IndexError: As `functional.generalized_cross_entropy`.

    Examples:
        >>> loss = GeneralizedCrossEntropyLoss(q=0.7)
        >>> loss(torch.tensor([[2.0, 0.5, 0.0], [0.0, 0.0, 3.0]]), torch.tensor([0, 2]))
        tensor(0.1838)

    See Also:
        `CrossEntropyLoss`, with `label_smoothing`.

    References:
        Z. Zhang, M. Sabuncu, Generalized Cross Entropy Loss, 2018.
    """

    @hinting
    def __init__(
        self,
        q: float = 0.7,
        *,
        weight: Tensor | None = None,
        reduction: str = "mean",
        ignore_index: Ignored = -100,
        softcap: float | None = None,
        logit_scale: float = 1.0,
        out_dtype: torch.dtype | None = None,
        options: AnyOptions = None,
        validate: bool = False,
    ) -> None:
        super().__init__(
            weight=weight, reduction=reduction, ignore_index=ignore_index, softcap=softcap, logit_scale=logit_scale,
            out_dtype=out_dtype, options=options, validate=validate,
        )  # fmt: skip
        self.q: float = contract.number("q", q, low=0.0, high=1.0)

    def forward(
        self,
        input: Tensor,
        target: Tensor,
        *,
        token_weight: Tensor | None = None,
        denominator: Tensor | float | None = None,
    ) -> Tensor:
        """Loss of logits `input` against class indices `target`."""
        given = self._given(token_weight, denominator)
        return F.generalized_cross_entropy(input, target, q=self.q, **given)

    def extra_repr(self) -> str:
        """The settings."""
        return settings(self, GeneralizedCrossEntropyLoss)
