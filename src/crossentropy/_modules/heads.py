"""Losses of heads that are no plain linear layer over all classes: cosines with a margin, and sampled classes."""

import torch
from torch import Tensor

from crossentropy import _contract as contract
from crossentropy import functional as F
from crossentropy._contract import AnyOptions, Ignored
from crossentropy._keywords import hinting
from crossentropy._modules._settings import settings
from crossentropy._tensors import check_setting_of_weight, check_sizes


class CosineCrossEntropyLoss(torch.nn.Module):
    """Cross entropy of cosines with a margin, whose head the module holds: `functional.cosine_cross_entropy`.

    The head is the parameter `linear_weight` (C, D), of normal random directions.

    Args:
        in_features: D, the size of a hidden state.
        num_classes: C.
        scale: s > 0, the inverse of a temperature.
        margin: m ≥ 0, taken from the label's cosine (CosFace).
        angular_margin: a in [0, π], in radians, added to its angle (ArcFace).
        device: Device of the head.
        dtype: Dtype of the head.
        weight: Class weights (C), any floating dtype; a buffer of the module.
        reduction: "none", "mean" (weighted by w_y) or "sum".
        ignore_index: A target value whose rows are left out, or several.
        out_dtype: Dtype of the returned loss.
        options: `crossentropy.Options`.
        validate: Look at the values, as `functional.cosine_cross_entropy`.

    Shape:
        input (…, D); target and token_weight (…); result a scalar, or (…) for "none".

    Raises:
        ValueError, TypeError, IndexError: As `functional.cosine_cross_entropy`, the constructor for what it is given.

    Examples:
        >>> loss = CosineCrossEntropyLoss(2, 3, scale=10.0, margin=0.35)
        >>> loss(torch.tensor([[3.0, 4.0]]), torch.tensor([1])).shape
        torch.Size([])

    See Also:
        `LinearCrossEntropyLoss`.

    References:
        H. Wang et al., CosFace, 2018; J. Deng et al., ArcFace, 2019.
    """

    weight: Tensor | None

    @hinting
    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        scale: float = 64.0,
        margin: float = 0.0,
        angular_margin: float = 0.0,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
        weight: Tensor | None = None,
        reduction: str = "mean",
        ignore_index: Ignored = -100,
        out_dtype: torch.dtype | None = None,
        options: AnyOptions = None,
        validate: bool = False,
    ) -> None:
        check_sizes(in_features, num_classes, ())
        check_setting_of_weight(weight)
        contract.check_reduction(reduction)
        contract.labels_to_ignore(ignore_index)
        contract.check_dtype("out_dtype", out_dtype)
        contract.check_options(options)
        super().__init__()
        self.linear_weight: torch.nn.Parameter = torch.nn.Parameter(
            torch.empty(num_classes, in_features, device=device, dtype=dtype)
        )
        torch.nn.init.normal_(self.linear_weight)
        self.register_buffer("weight", weight)
        self.in_features = in_features
        self.num_classes = num_classes
        self.scale = contract.number("scale", scale, low=0.0, above=True)
        self.margin = contract.number("margin", margin, low=0.0)
        self.angular_margin = contract.number("angular_margin", angular_margin, low=0.0)
        self.reduction = reduction
        self.ignore_index = ignore_index
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
    ) -> Tensor:
        """Loss of hidden states `input` against class indices `target`."""
        return F.cosine_cross_entropy(
            input,
            self.linear_weight,
            target,
            scale=self.scale,
            margin=self.margin,
            angular_margin=self.angular_margin,
            weight=self.weight,
            reduction=self.reduction,
            ignore_index=self.ignore_index,
            token_weight=token_weight,
            denominator=denominator,
            out_dtype=self.out_dtype,
            options=self.options,
            validate=self.validate,
        )

    def extra_repr(self) -> str:
        """The settings."""
        sizes = f"in_features={self.in_features}, num_classes={self.num_classes}"
        return ", ".join(filter(None, [sizes, settings(self, CosineCrossEntropyLoss)]))
