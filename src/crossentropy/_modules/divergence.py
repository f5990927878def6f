"""Divergences of a student from a teacher as modules: `crossentropy._losses.divergence` has the formulae.

    KLDivWithLogitsLoss   kl_div_with_logits, reverse_kl_div_with_logits        JSDivWithLogitsLoss   js_div_with_logits
    LinearKLDivLoss       linear_kl_div, linear_reverse_kl_div                  LinearJSDivLoss       linear_js_div

A module holds settings alone, neither heads nor a teacher: tensors come with each call.
"""

from typing import Any

import torch
from torch import Tensor

from crossentropy import _contract as contract
from crossentropy import functional as F
from crossentropy._contract import AnyOptions
from crossentropy._errors import ArgumentTypeError, kind_of
from crossentropy._keywords import hinting
from crossentropy._losses.divergence import js, kl
from crossentropy._modules._settings import settings
from crossentropy._values import check_axis

__all__ = ["JSDivWithLogitsLoss", "KLDivWithLogitsLoss", "LinearJSDivLoss", "LinearKLDivLoss"]


class _Divergence(torch.nn.Module):
    """What all of them have: the settings that both functions and heads share."""

    def __init__(
        self,
        reduction: str,
        temperature: float,
        softcap: float | None,
        teacher_softcap: float | None,
        logit_scale: float,
        teacher_logit_scale: float,
        out_dtype: torch.dtype | None,
        options: AnyOptions,
        validate: bool,
    ) -> None:
        contract.check_reduction(reduction)
        contract.number("temperature", temperature, low=0.0, above=True)
        contract.check_extras(0.0, softcap, logit_scale, out_dtype, options)
        contract.cap("teacher_softcap", teacher_softcap)
        contract.number("teacher_logit_scale", teacher_logit_scale)
        super().__init__()
        self.reduction = reduction
        self.temperature = temperature
        self.softcap = softcap
        self.teacher_softcap = teacher_softcap
        self.logit_scale = logit_scale
        self.teacher_logit_scale = teacher_logit_scale
        self.out_dtype = out_dtype
        self.options: AnyOptions = options
        self.validate = validate

    def _settings(self) -> dict[str, Any]:
        """Those of the function."""
        names = (
            "reduction", "temperature", "softcap", "teacher_softcap", "logit_scale", "teacher_logit_scale", "out_dtype",
            "options", "validate",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names}

    def extra_repr(self) -> str:
        """The settings."""
        return settings(self, type(self))


def _check_reverse(reverse: object) -> None:
    if not isinstance(reverse, bool):
        raise ArgumentTypeError(f"reverse is {kind_of(reverse)}, expected True or False")


class KLDivWithLogitsLoss(_Divergence):
    """Kullback–Leibler divergence of two logits: `functional.kl_div_with_logits` as a module.

    Args:
        dim: The class axis, the last by default as in language models; 1 for images (N, C, H, W).
        reverse: Whether it is the teacher who is believed where the student is right: KL(q‖p).
        skew: α in [0, 1): what is believed is in part what is true, KL(p ‖ α p + (1 − α) q) or KL(q ‖ α q + (1 − α) p).
        reduction: "none", "mean" (over rows, weighted) or "sum".
        temperature: T > 0, dividing both logits after scale and cap.
        softcap: Student's cap c > 0: z becomes c · tanh(z / c). Default: none.
        teacher_softcap: Teacher's cap, alike. Default: none.
        logit_scale: Factor on the student's logits, before the cap.
        teacher_logit_scale: Factor on the teacher's logits.
        out_dtype: Dtype of the returned loss. Default: the input's, and float32 under autocast.
        options: How to execute it, a `crossentropy.Options`. Default: as it chooses.
        validate: Look at the values, as the function.

    Shape:
        input, teacher_input (…, C, …), equal; token_weight the same without the class axis; result a scalar, or like
        token_weight for "none".

    Raises:
        ValueError, TypeError: As `functional.kl_div_with_logits`, the constructor for its settings.

    Examples:
        >>> loss = KLDivWithLogitsLoss(temperature=2.0)
        >>> loss(torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([[4.0, 0.0, 0.0]]))
        tensor(0.0989)

    See Also:
        `JSDivWithLogitsLoss`; `LinearKLDivLoss`, from hidden states; `KLDivLoss`, torch's.

    References:
        G. Hinton, O. Vinyals, J. Dean, Distilling the Knowledge in a Neural Network, 2015; J. Ko et al., DistiLLM, 2024
        (skew).
    """

    @hinting
    def __init__(
        self,
        *,
        dim: int = -1,
        reverse: bool = False,
        skew: float = 0.0,
        reduction: str = "mean",
        temperature: float = 1.0,
        softcap: float | None = None,
        teacher_softcap: float | None = None,
        logit_scale: float = 1.0,
        teacher_logit_scale: float = 1.0,
        out_dtype: torch.dtype | None = None,
        options: AnyOptions = None,
        validate: bool = False,
    ) -> None:
        check_axis("input", dim)
        _check_reverse(reverse)
        kl(skew)
        super().__init__(
            reduction, temperature, softcap, teacher_softcap, logit_scale, teacher_logit_scale, out_dtype, options,
            validate,
        )  # fmt: skip
        self.dim = dim
        self.reverse = reverse
        self.skew = skew

    def forward(
        self,
        input: Tensor,
        teacher_input: Tensor,
        *,
        token_weight: Tensor | None = None,
        denominator: Tensor | float | None = None,
    ) -> Tensor:
        """Loss of logits `input` against a teacher's."""
        function = F.reverse_kl_div_with_logits if self.reverse else F.kl_div_with_logits
        return function(
            input, teacher_input, dim=self.dim, token_weight=token_weight, denominator=denominator,
            skew=self.skew, **self._settings(),
        )  # fmt: skip


class JSDivWithLogitsLoss(_Divergence):
    """Jensen–Shannon divergence of two logits, generalised: `functional.js_div_with_logits` as a module.

    Args:
        dim: The class axis, the last by default as in language models; 1 for images (N, C, H, W).
        beta: β in (0, 1), the teacher's part of the mixture, and the weight of its divergence.
        reduction: "none", "mean" (over rows, weighted) or "sum".
        temperature: T > 0, dividing both logits after scale and cap.
        softcap: Student's cap c > 0: z becomes c · tanh(z / c). Default: none.
        teacher_softcap: Teacher's cap, alike. Default: none.
        logit_scale: Factor on the student's logits, before the cap.
        teacher_logit_scale: Factor on the teacher's logits.
        out_dtype: Dtype of the returned loss. Default: the input's, and float32 under autocast.
        options: How to execute it, a `crossentropy.Options`. Default: as it chooses.
        validate: Look at the values, as the function.

    Shape:
        input, teacher_input (…, C, …), equal; token_weight the same without the class axis; result a scalar, or like
        token_weight for "none".

    Raises:
        ValueError, TypeError: As `functional.js_div_with_logits`, the constructor for its settings.

    Examples:
        >>> loss = JSDivWithLogitsLoss()
        >>> loss(torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([[4.0, 0.0, 0.0]]))
        tensor(0.0398)

    See Also:
        `KLDivWithLogitsLoss`; `LinearJSDivLoss`, from hidden states.

    References:
        J. Lin, Divergence Measures Based on the Shannon Entropy, 1991; R. Agarwal et al., On-Policy Distillation of
        Language Models (GKD), 2023.
    """

    @hinting
    def __init__(
        self,
        *,
        dim: int = -1,
        beta: float = 0.5,
        reduction: str = "mean",
        temperature: float = 1.0,
        softcap: float | None = None,
        teacher_softcap: float | None = None,
        logit_scale: float = 1.0,
        teacher_logit_scale: float = 1.0,
        out_dtype: torch.dtype | None = None,
        options: AnyOptions = None,
        validate: bool = False,
    ) -> None:
        check_axis("input", dim)
        js(beta)
        super().__init__(
            reduction, temperature, softcap, teacher_softcap, logit_scale, teacher_logit_scale, out_dtype, options,
            validate,
        )  # fmt: skip
        self.dim = dim
        self.beta = beta

    def forward(
        self,
        input: Tensor,
        teacher_input: Tensor,
        *,
        token_weight: Tensor | None = None,
        denominator: Tensor | float | None = None,
    ) -> Tensor:
        """Loss of logits `input` against a teacher's."""
        return F.js_div_with_logits(
            input, teacher_input, dim=self.dim, token_weight=token_weight, denominator=denominator,
            beta=self.beta, **self._settings(),
        )  # fmt: skip


class LinearKLDivLoss(_Divergence):
    """Kullback–Leibler divergence of two heads: `functional.linear_kl_div` as a module.

    Args:
        reverse: Whether it is the teacher who is believed where the student is right: KL(q‖p).
        skew: α in [0, 1): what is believed is in part what is true, KL(p ‖ α p + (1 − α) q) or KL(q ‖ α q + (1 − α) p).
        reduction: "none", "mean" (over rows, weighted) or "sum".
        temperature: T > 0, dividing both logits after scale and cap.
        softcap: Student's cap c > 0: z becomes c · tanh(z / c). Default: none.
        teacher_softcap: Teacher's cap, alike. Default: none.
        logit_scale: Factor on the student's logits, before the cap.
        teacher_logit_scale: Factor on the teacher's logits.
        out_dtype: Dtype of the returned loss. Default: the input's, and float32 under autocast.
        options: How to execute it, a `crossentropy.Options`. Default: as it chooses.
        validate: Look at the values, as the function.

    Shape:
        input (…, D), linear_weight (C, D), teacher_input (…, D'), teacher_weight (C, D'), biases (C), token_weight (…);
        result a scalar, or (…) for "none".

    Raises:
        ValueError, TypeError: As `functional.linear_kl_div`, the constructor for its settings.

    Examples:
        >>> hidden, head = torch.eye(2), torch.tensor([[2.0, 0.0], [0.5, 0.0], [0.0, 3.0]])
        >>> LinearKLDivLoss()(hidden, head, hidden, 2 * head)
        tensor(0.1057)

    See Also:
        `LinearJSDivLoss`; `KLDivWithLogitsLoss`, of logits.

    References:
        G. Hinton, O. Vinyals, J. Dean, Distilling the Knowledge in a Neural Network, 2015; J. Ko et al., DistiLLM, 2024
        (skew).
    """

    @hinting
    def __init__(
        self,
        *,
        reverse: bool = False,
        skew: float = 0.0,
        reduction: str = "mean",
        temperature: float = 1.0,
        softcap: float | None = None,
        teacher_softcap: float | None = None,
        logit_scale: float = 1.0,
        teacher_logit_scale: float = 1.0,
        out_dtype: torch.dtype | None = None,
        options: AnyOptions = None,
        validate: bool = False,
    ) -> None:
        _check_reverse(reverse)
        kl(skew)
        super().__init__(
            reduction, temperature, softcap, teacher_softcap, logit_scale, teacher_logit_scale, out_dtype, options,
            validate,
        )  # fmt: skip
        self.reverse = reverse
        self.skew = skew

    def forward(
        self,
        input: Tensor,
        linear_weight: Tensor,
        teacher_input: Tensor,
        teacher_weight: Tensor,
        *,
        linear_bias: Tensor | None = None,
        teacher_bias: Tensor | None = None,
        token_weight: Tensor | None = None,
        denominator: Tensor | float | None = None,
    ) -> Tensor:
        """Loss of hidden states `input` under a head against a teacher's under theirs."""
        function = F.linear_reverse_kl_div if self.reverse else F.linear_kl_div
        return function(
            input, linear_weight, teacher_input, teacher_weight, linear_bias=linear_bias, teacher_bias=teacher_bias,
            token_weight=token_weight, denominator=denominator, skew=self.skew, **self._settings(),
        )  # fmt: skip


class LinearJSDivLoss(_Divergence):
    """Jensen–Shannon divergence of two heads, generalised: `functional.linear_js_div` as a module.

    Args:
        beta: β in (0, 1), the teacher's part of the mixture, and the weight of its divergence.
        reduction: "none", "mean" (over rows, weighted) or "sum".
        temperature: T > 0, dividing both logits after scale and cap.
        softcap: Student's cap c > 0: z becomes c · tanh(z / c). Default: none.
        teacher_softcap: Teacher's cap, alike. Default: none.
        logit_scale: Factor on the student's logits, before the cap.
        teacher_logit_scale: Factor on the teacher's logits.
        out_dtype: Dtype of the returned loss. Default: the input's, and float32 under autocast.
        options: How to execute it, a `crossentropy.Options`. Default: as it chooses.
        validate: Look at the values, as the function.

    Shape:
        input (…, D), linear_weight (C, D), teacher_input (…, D'), teacher_weight (C, D'), biases (C), token_weight (…);
        result a scalar, or (…) for "none".

    Raises:
        ValueError, TypeError: As `functional.linear_js_div`, the constructor for its settings.

    Examples:
        >>> hidden, head = torch.eye(2), torch.tensor([[2.0, 0.0], [0.5, 0.0], [0.0, 3.0]])
        >>> LinearJSDivLoss()(hidden, head, hidden, 2 * head)
        tensor(0.0319)

    See Also:
        `LinearKLDivLoss`; `JSDivWithLogitsLoss`, of logits.

    References:
        J. Lin, Divergence Measures Based on the Shannon Entropy, 1991; R. Agarwal et al., On-Policy Distillation of
        Language Models (GKD), 2023.
    """

    @hinting
    def __init__(
        self,
        *,
        beta: float = 0.5,
        reduction: str = "mean",
        temperature: float = 1.0,
        softcap: float | None = None,
        teacher_softcap: float | None = None,
        logit_scale: float = 1.0,
        teacher_logit_scale: float = 1.0,
        out_dtype: torch.dtype | None = None,
        options: AnyOptions = None,
        validate: bool = False,
    ) -> None:
        js(beta)
        super().__init__(
            reduction, temperature, softcap, teacher_softcap, logit_scale, teacher_logit_scale, out_dtype, options,
            validate,
        )  # fmt: skip
        self.beta = beta

    def forward(
        self,
        input: Tensor,
        linear_weight: Tensor,
        teacher_input: Tensor,
        teacher_weight: Tensor,
        *,
        linear_bias: Tensor | None = None,
        teacher_bias: Tensor | None = None,
        token_weight: Tensor | None = None,
        denominator: Tensor | float | None = None,
    ) -> Tensor:
        """Loss of hidden states `input` under a head against a teacher's under theirs."""
        return F.linear_js_div(
            input, linear_weight, teacher_input, teacher_weight, linear_bias=linear_bias, teacher_bias=teacher_bias,
            token_weight=token_weight, denominator=denominator, beta=self.beta, **self._settings(),
        )  # fmt: skip
