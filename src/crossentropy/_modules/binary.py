"""Classes of binary losses: drop-in for torch's, and what these do not have."""

import torch
from torch import Tensor

from crossentropy import _contract as contract
from crossentropy import functional as F
from crossentropy._keywords import hinting
from crossentropy._modules._settings import settings
from crossentropy._tensors import check_setting_of_elements


class BCELoss(torch.nn.BCELoss):
    """Binary cross entropy of probabilities: `functional.binary_cross_entropy` as a module.

    Args:
        weight: Factor of each element, in a shape that broadcasts to the input's; a buffer of the module. Default: 1.
        size_average: Deprecated, see reduction.
        reduce: Deprecated, see reduction.
        reduction: "none", "mean" (weighted by token_weight, not by weight) or "sum".
        label_smoothing: Label smoothing ε in [0, 1]: the part of y that becomes 1/2.
        ignore_index: A target value whose elements are left out. None leaves out none.
        validate: Look at the values, as `functional.binary_cross_entropy`.

    Shape:
        input, target: any, equal; token_weight the same, or with axes of size 1; result a scalar, or the input's shape
        for "none".

    Raises:
        ValueError, TypeError: As `functional.binary_cross_entropy`.

    Examples:
        >>> loss = BCELoss()
        >>> loss(torch.tensor([0.9, 0.2]), torch.tensor([1.0, 0.0]))
        tensor(0.1643)

    See Also:
        `BCEWithLogitsLoss`, which loses no digits.

    References:
        torch.nn.BCELoss.
    """

    @hinting
    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        *,
        label_smoothing: float = 0.0,
        ignore_index: int | None = None,
        validate: bool = False,
    ) -> None:
        check_setting_of_elements(weight=weight)
        contract.check_deprecated(size_average, reduce)
        super().__init__(weight, size_average, reduce, reduction)
        self.label_smoothing = label_smoothing
        self.ignore_index = ignore_index
        self.validate = validate

    def forward(
        self,
        input: Tensor,
        target: Tensor,
        *,
        token_weight: Tensor | None = None,
        denominator: Tensor | float | None = None,
    ) -> Tensor:
        """Loss of probabilities `input` against `target`."""
        return F.binary_cross_entropy(
            input,
            target,
            self.weight,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
            ignore_index=self.ignore_index,
            token_weight=token_weight,
            denominator=denominator,
            validate=self.validate,
        )

    def extra_repr(self) -> str:
        """The settings."""
        return settings(self, BCELoss)


class BCEWithLogitsLoss(torch.nn.BCEWithLogitsLoss):
    """Binary cross entropy of logits: `functional.binary_cross_entropy_with_logits` as a module.

    Args:
        weight: Factor of each element, in a shape that broadcasts to the input's; a buffer of the module. Default: 1.
        size_average: Deprecated, see reduction.
        reduce: Deprecated, see reduction.
        reduction: "none", "mean" (weighted by token_weight, not by weight) or "sum".
        pos_weight: Factor of the part of y, in a shape that broadcasts to the input's; a buffer of the module. Default:
            1.
        label_smoothing: Label smoothing ε in [0, 1]: the part of y that becomes 1/2.
        ignore_index: A target value whose elements are left out. None leaves out none.
        validate: Look at the values, as `functional.binary_cross_entropy_with_logits`.

    Shape:
        input, target: any, equal; token_weight the same, or with axes of size 1; result a scalar, or the input's shape
        for "none".

    Raises:
        ValueError, TypeError: As `functional.binary_cross_entropy_with_logits`.

    Examples:
        >>> loss = BCEWithLogitsLoss(pos_weight=torch.tensor([3.0, 1.0]))
        >>> loss(torch.tensor([[2.0, -1.0]]), torch.tensor([[1.0, 0.0]]))
        tensor(0.3470)

    See Also:
        `CrossEntropyLoss`, for one class of several.

    References:
        torch.nn.BCEWithLogitsLoss.
    """

    @hinting
    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
        *,
        label_smoothing: float = 0.0,
        ignore_index: int | None = None,
        validate: bool = False,
    ) -> None:
        check_setting_of_elements(weight=weight, pos_weight=pos_weight)
        contract.check_deprecated(size_average, reduce)
        super().__init__(weight, size_average, reduce, reduction, pos_weight)
        self.label_smoothing = label_smoothing
        self.ignore_index = ignore_index
        self.validate = validate

    def forward(
        self,
        input: Tensor,
        target: Tensor,
        *,
        token_weight: Tensor | None = None,
        denominator: Tensor | float | None = None,
    ) -> Tensor:
        """Loss of logits `input` against `target`."""
        return F.binary_cross_entropy_with_logits(
            input,
            target,
            self.weight,
            reduction=self.reduction,
            pos_weight=self.pos_weight,
            label_smoothing=self.label_smoothing,
            ignore_index=self.ignore_index,
            token_weight=token_weight,
            denominator=denominator,
            validate=self.validate,
        )

    def extra_repr(self) -> str:
        """The settings."""
        return settings(self, BCEWithLogitsLoss)
