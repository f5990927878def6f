"""Divergences of a student from a teacher: one family, from the logits of both or from hidden states and two heads.

    D(a, b, λ) = a KL(p‖m) + b KL(q‖m)          m = λ p + (1 − λ) q

    loss                                   a, b, λ             what it is
    kl_div(skew=α)                         1, 0, α             KL(p ‖ α p + (1 − α) q)
    reverse_kl_div(skew=α)                 0, 1, 1 − α         KL(q ‖ (1 − α) p + α q)
    js_div(beta=β)                         β, 1 − β, β         β KL(p‖m) + (1 − β) KL(q‖m)

p softmax of the teacher's logits over T · q of the student's · T temperature. Logits are `input` and `teacher_input`
of one shape, with the classes along `dim`, and rows are all the other axes; or heads make them of hidden states,
`linear_…`, and then they are never built.

Where α is 0 these are the Kullback–Leibler divergence and its reverse, which are infinite where what is believed is 0
and what is true is not. Those from a mixture are finite: at most −log α, and −β log β − (1 − β) log(1 − β) for js_div.
"""

from typing import Any

import torch
from torch import Tensor

from crossentropy import _contract as contract
from crossentropy import _execution
from crossentropy import _sharding as sharding
from crossentropy._contract import AnyOptions
from crossentropy._errors import ArgumentValueError
from crossentropy._keywords import overridable
from crossentropy._loss import LossTensors, Mixture
from crossentropy._tensors import check_distillation, check_floating, check_linear, check_same_device
from crossentropy._values import axis

__all__ = [
    "js_div_with_logits",
    "kl_div_with_logits",
    "linear_js_div",
    "linear_kl_div",
    "linear_reverse_kl_div",
    "reverse_kl_div_with_logits",
]


@overridable
def linear_kl_div(
    input: Tensor,
    linear_weight: Tensor,
    teacher_input: Tensor,
    teacher_weight: Tensor,
    *,
    linear_bias: Tensor | None = None,
    teacher_bias: Tensor | None = None,
    skew: float = 0.0,
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
    validate: bool = False,
) -> Tensor:
    """Distillation loss of a student's linear head against a teacher's.

        L_i = KL(softmax(z'_i / T) ‖ softmax(z_i / T))      z = h Wᵀ + b of the student, z' of the teacher

    What it costs to believe the student where the teacher is right; 0 when their distributions agree. Gradients flow
    to whatever requires them, the teacher included. Gradients shrink as 1/T²: multiply the loss by T² to keep the
    weight of this loss among others independent of the temperature.

    With `skew` α the student is believed only in part, L_i = KL(p ‖ α p + (1 − α) q): at most −log α, so that no class
    which the student thinks impossible drowns all others.

    Args:
        input: Student's hidden states (…, D).
        linear_weight: Student's head (C, D).
        teacher_input: Teacher's hidden states (…, D'), with the same leading axes.
        teacher_weight: Teacher's head (C, D').
        linear_bias: Student's bias (C). Default: none.
        teacher_bias: Teacher's bias (C). Default: none.
        skew: α in [0, 1) of KL(p ‖ α p + (1 − α) q), the teacher's part of what the student is taken to believe.
        reduction: "none", "mean" (over rows, weighted) or "sum".
        token_weight: Weight of each row, (…); 0 leaves a row, padding say, out. Default: 1.
        denominator: What "mean" divides by; a number or a tensor of one element. Default: the weight of the rows that
            count, in sum.
        temperature: T > 0, dividing both logits after scale and cap.
        softcap: Student's cap c > 0: z becomes c · tanh(z / c). Default: none.
        teacher_softcap: Teacher's cap, alike. Default: none.
        logit_scale: Factor on the student's logits, before the cap.
        teacher_logit_scale: Factor on the teacher's logits.
        out_dtype: Dtype of the returned loss. Default: the input's, and float32 under autocast.
        options: How to execute it, a `crossentropy.Options`. Default: as it chooses.
        validate: Look at the values: hidden states, heads, logits (in pieces), weights, whether a row counts.

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
        `linear_reverse_kl_div`; `linear_js_div`; `kl_div_with_logits`, of logits; `linear_cross_entropy`;
        `crossentropy.information.kl_divergence`.

    References:
        G. Hinton, O. Vinyals, J. Dean, Distilling the Knowledge in a Neural Network, 2015; J. Ko et al., DistiLLM, 2024
        (skew).
    """
    return _of_heads(
        kl(skew), input, linear_weight, teacher_input, teacher_weight,
        linear_bias=linear_bias, teacher_bias=teacher_bias, reduction=reduction,
        token_weight=token_weight, denominator=denominator, temperature=temperature, softcap=softcap,
        teacher_softcap=teacher_softcap, logit_scale=logit_scale, teacher_logit_scale=teacher_logit_scale,
        out_dtype=out_dtype, options=options, validate=validate,
    )  # fmt: skip


@overridable
def linear_reverse_kl_div(
    input: Tensor,
    linear_weight: Tensor,
    teacher_input: Tensor,
    teacher_weight: Tensor,
    *,
    linear_bias: Tensor | None = None,
    teacher_bias: Tensor | None = None,
    skew: float = 0.0,
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
    validate: bool = False,
) -> Tensor:
    """Distillation loss of a teacher's linear head against a student's: what believing the teacher costs the student.

        L_i = KL(softmax(z_i / T) ‖ softmax(z'_i / T))      z = h Wᵀ + b of the student, z' of the teacher

    The reverse of `linear_kl_div`. It is large where the student expects what the teacher does not, and hardly sees
    what the student does not expect: a student that cannot be all of the teacher becomes one of its modes. With `skew`
    α it is KL(q ‖ (1 − α) p + α q), at most −log α. Gradients shrink as 1/T².

    Args:
        input: Student's hidden states (…, D).
        linear_weight: Student's head (C, D).
        teacher_input: Teacher's hidden states (…, D'), with the same leading axes.
        teacher_weight: Teacher's head (C, D').
        linear_bias: Student's bias (C). Default: none.
        teacher_bias: Teacher's bias (C). Default: none.
        skew: α in [0, 1) of KL(q ‖ (1 − α) p + α q), the student's part of what the teacher is taken to believe.
        reduction: "none", "mean" (over rows, weighted) or "sum".
        token_weight: Weight of each row, (…); 0 leaves a row, padding say, out. Default: 1.
        denominator: What "mean" divides by; a number or a tensor of one element. Default: the weight of the rows that
            count, in sum.
        temperature: T > 0, dividing both logits after scale and cap.
        softcap: Student's cap c > 0: z becomes c · tanh(z / c). Default: none.
        teacher_softcap: Teacher's cap, alike. Default: none.
        logit_scale: Factor on the student's logits, before the cap.
        teacher_logit_scale: Factor on the teacher's logits.
        out_dtype: Dtype of the returned loss. Default: the input's, and float32 under autocast.
        options: How to execute it, a `crossentropy.Options`. Default: as it chooses.
        validate: Look at the values: hidden states, heads, logits (in pieces), weights, whether a row counts.

    Returns:
        The loss: a scalar, or (…) for "none"; in the student's promoted dtype (float32 under autocast), or out_dtype.
        In nats.

    Raises:
        ValueError: A shape, device, number or reduction does not fit.
        TypeError: A type or dtype does not fit.

    Examples:
        >>> hidden, head = torch.eye(2), torch.tensor([[2.0, 0.0], [0.5, 0.0], [0.0, 3.0]])
        >>> linear_reverse_kl_div(hidden, head, hidden, 2 * head)
        tensor(0.1934)

    See Also:
        `linear_kl_div`; `linear_js_div`; `reverse_kl_div_with_logits`, of logits.

    References:
        Y. Gu et al., MiniLLM: Knowledge Distillation of Large Language Models, 2023; J. Ko et al., DistiLLM, 2024
        (skew).
    """
    return _of_heads(
        kl(skew, reverse=True), input, linear_weight, teacher_input, teacher_weight,
        linear_bias=linear_bias, teacher_bias=teacher_bias, reduction=reduction,
        token_weight=token_weight, denominator=denominator, temperature=temperature, softcap=softcap,
        teacher_softcap=teacher_softcap, logit_scale=logit_scale, teacher_logit_scale=teacher_logit_scale,
        out_dtype=out_dtype, options=options, validate=validate,
    )  # fmt: skip


@overridable
def linear_js_div(
    input: Tensor,
    linear_weight: Tensor,
    teacher_input: Tensor,
    teacher_weight: Tensor,
    *,
    linear_bias: Tensor | None = None,
    teacher_bias: Tensor | None = None,
    beta: float = 0.5,
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
    validate: bool = False,
) -> Tensor:
    """Jensen–Shannon divergence of a student's linear head and a teacher's, in its generalised form.

        L_i = β KL(p_i ‖ m_i) + (1 − β) KL(q_i ‖ m_i)       m = β p + (1 − β) q
        q = softmax(z / T), z = h Wᵀ + b of the student; p of the teacher

    Of two distributions neither is right: each is compared with their mixture. It is finite whatever the logits, at
    most log 2 for β = ½, and symmetric there. Small β make it like `linear_kl_div`, large like `linear_reverse_kl_div`.
    Gradients shrink as 1/T².

    Args:
        input: Student's hidden states (…, D).
        linear_weight: Student's head (C, D).
        teacher_input: Teacher's hidden states (…, D'), with the same leading axes.
        teacher_weight: Teacher's head (C, D').
        linear_bias: Student's bias (C). Default: none.
        teacher_bias: Teacher's bias (C). Default: none.
        beta: β in (0, 1), the teacher's part of the mixture, and the weight of its divergence. At 0 and 1 the loss is
            0; near 0 it is β KL(p‖q), and near 1 it is (1 − β) KL(q‖p).
        reduction: "none", "mean" (over rows, weighted) or "sum".
        token_weight: Weight of each row, (…); 0 leaves a row, padding say, out. Default: 1.
        denominator: What "mean" divides by; a number or a tensor of one element. Default: the weight of the rows that
            count, in sum.
        temperature: T > 0, dividing both logits after scale and cap.
        softcap: Student's cap c > 0: z becomes c · tanh(z / c). Default: none.
        teacher_softcap: Teacher's cap, alike. Default: none.
        logit_scale: Factor on the student's logits, before the cap.
        teacher_logit_scale: Factor on the teacher's logits.
        out_dtype: Dtype of the returned loss. Default: the input's, and float32 under autocast.
        options: How to execute it, a `crossentropy.Options`. Default: as it chooses.
        validate: Look at the values: hidden states, heads, logits (in pieces), weights, whether a row counts.

    Returns:
        The loss: a scalar, or (…) for "none"; in the student's promoted dtype (float32 under autocast), or out_dtype.
        In nats.

    Raises:
        ValueError: A shape, device, number or reduction does not fit.
        TypeError: A type or dtype does not fit.

    Examples:
        >>> hidden, head = torch.eye(2), torch.tensor([[2.0, 0.0], [0.5, 0.0], [0.0, 3.0]])
        >>> linear_js_div(hidden, head, hidden, 2 * head)
        tensor(0.0319)

    See Also:
        `linear_kl_div`; `js_div_with_logits`, of logits; `crossentropy.information.js_divergence`, the quantity.

    References:
        J. Lin, Divergence Measures Based on the Shannon Entropy, 1991; R. Agarwal et al., On-Policy Distillation of
        Language Models (GKD), 2023.
    """
    return _of_heads(
        js(beta), input, linear_weight, teacher_input, teacher_weight,
        linear_bias=linear_bias, teacher_bias=teacher_bias, reduction=reduction,
        token_weight=token_weight, denominator=denominator, temperature=temperature, softcap=softcap,
        teacher_softcap=teacher_softcap, logit_scale=logit_scale, teacher_logit_scale=teacher_logit_scale,
        out_dtype=out_dtype, options=options, validate=validate,
    )  # fmt: skip


@overridable
def kl_div_with_logits(
    input: Tensor,
    teacher_input: Tensor,
    *,
    dim: int = -1,
    skew: float = 0.0,
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
    validate: bool = False,
) -> Tensor:
    """Kullback–Leibler divergence of a student's logits from a teacher's.

        L_i = KL(p_i ‖ q_i) = Σ_c p_ic log(p_ic / q_ic)      q = softmax(z / T) of the student, p of the teacher

    What it costs to believe the student where the teacher is right; 0 when their distributions agree. It takes logits,
    and is one number a row, where `kl_div` has one a class. With `skew` α it is KL(p ‖ α p + (1 − α) q), at most
    −log α. Gradients flow to both logits, if they require them, and shrink as 1/T².

    Args:
        input: Student's logits (…, C, …).
        teacher_input: Teacher's logits, in the same shape.
        dim: The class axis, the last by default as in language models; 1 for images (N, C, H, W).
        skew: α in [0, 1) of KL(p ‖ α p + (1 − α) q), the teacher's part of what the student is taken to believe.
        reduction: "none", "mean" (over rows, weighted) or "sum".
        token_weight: Weight of each row, in the rows' shape: input's without `dim`; 0 leaves a row, padding say, out.
            Default: 1.
        denominator: What "mean" divides by; a number or a tensor of one element. Default: the weight of the rows that
            count, in sum.
        temperature: T > 0, dividing both logits after scale and cap.
        softcap: Student's cap c > 0: z becomes c · tanh(z / c). Default: none.
        teacher_softcap: Teacher's cap, alike. Default: none.
        logit_scale: Factor on the student's logits, before the cap.
        teacher_logit_scale: Factor on the teacher's logits.
        out_dtype: Dtype of the returned loss. Default: the input's, and float32 under autocast.
        options: How to execute it, a `crossentropy.Options`. Default: as it chooses.
        validate: Look at the values: logits, weights, whether a row counts.

    Returns:
        The loss: a scalar, or the rows' shape for "none"; in the student's dtype (float32 under autocast), or
        out_dtype. In nats.

    Raises:
        ValueError: A shape, device, number or reduction does not fit.
        TypeError: A type or dtype does not fit.
        IndexError: `dim` is not an axis.

    Examples:
        >>> student, teacher = torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([[4.0, 0.0, 0.0]])
        >>> kl_div_with_logits(student, teacher), kl_div_with_logits(student, teacher, skew=0.1)
        (tensor(0.1329), tensor(0.1144))

    See Also:
        `reverse_kl_div_with_logits`; `js_div_with_logits`; `linear_kl_div`, from hidden states; `kl_div`, torch's;
        `crossentropy.information.kl_divergence`, the quantity.

    References:
        G. Hinton, O. Vinyals, J. Dean, Distilling the Knowledge in a Neural Network, 2015; J. Ko et al., DistiLLM, 2024
        (skew).
    """
    return _of_logits(
        kl(skew), input, teacher_input, dim=dim, reduction=reduction,
        token_weight=token_weight, denominator=denominator, temperature=temperature, softcap=softcap,
        teacher_softcap=teacher_softcap, logit_scale=logit_scale, teacher_logit_scale=teacher_logit_scale,
        out_dtype=out_dtype, options=options, validate=validate,
    )  # fmt: skip


@overridable
def reverse_kl_div_with_logits(
    input: Tensor,
    teacher_input: Tensor,
    *,
    dim: int = -1,
    skew: float = 0.0,
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
    validate: bool = False,
) -> Tensor:
    """Kullback–Leibler divergence of a teacher's logits from a student's.

        L_i = KL(q_i ‖ p_i) = Σ_c q_ic log(q_ic / p_ic)      q = softmax(z / T) of the student, p of the teacher

    The reverse of `kl_div_with_logits`: large where the student expects what the teacher does not. With `skew` α it is
    KL(q ‖ (1 − α) p + α q), at most −log α. Gradients flow to both logits, if they require them, and shrink as 1/T².

    Args:
        input: Student's logits (…, C, …).
        teacher_input: Teacher's logits, in the same shape.
        dim: The class axis, the last by default as in language models; 1 for images (N, C, H, W).
        skew: α in [0, 1) of KL(q ‖ (1 − α) p + α q), the student's part of what the teacher is taken to believe.
        reduction: "none", "mean" (over rows, weighted) or "sum".
        token_weight: Weight of each row, in the rows' shape: input's without `dim`; 0 leaves a row, padding say, out.
            Default: 1.
        denominator: What "mean" divides by; a number or a tensor of one element. Default: the weight of the rows that
            count, in sum.
        temperature: T > 0, dividing both logits after scale and cap.
        softcap: Student's cap c > 0: z becomes c · tanh(z / c). Default: none.
        teacher_softcap: Teacher's cap, alike. Default: none.
        logit_scale: Factor on the student's logits, before the cap.
        teacher_logit_scale: Factor on the teacher's logits.
        out_dtype: Dtype of the returned loss. Default: the input's, and float32 under autocast.
        options: How to execute it, a `crossentropy.Options`. Default: as it chooses.
        validate: Look at the values: logits, weights, whether a row counts.

    Returns:
        The loss: a scalar, or the rows' shape for "none"; in the student's dtype (float32 under autocast), or
        out_dtype. In nats.

    Raises:
        ValueError: A shape, device, number or reduction does not fit.
        TypeError: A type or dtype does not fit.
        IndexError: `dim` is not an axis.

    Examples:
        >>> student, teacher = torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([[4.0, 0.0, 0.0]])
        >>> reverse_kl_div_with_logits(student, teacher)
        tensor(0.2225)

    See Also:
        `kl_div_with_logits`; `js_div_with_logits`; `linear_reverse_kl_div`, from hidden states.

    References:
        Y. Gu et al., MiniLLM: Knowledge Distillation of Large Language Models, 2023; J. Ko et al., DistiLLM, 2024
        (skew).
    """
    return _of_logits(
        kl(skew, reverse=True), input, teacher_input, dim=dim, reduction=reduction,
        token_weight=token_weight, denominator=denominator, temperature=temperature, softcap=softcap,
        teacher_softcap=teacher_softcap, logit_scale=logit_scale, teacher_logit_scale=teacher_logit_scale,
        out_dtype=out_dtype, options=options, validate=validate,
    )  # fmt: skip


@overridable
def js_div_with_logits(
    input: Tensor,
    teacher_input: Tensor,
    *,
    dim: int = -1,
    beta: float = 0.5,
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
    validate: bool = False,
) -> Tensor:
    """Jensen–Shannon divergence of the logits of a student and a teacher, in its generalised form.

        L_i = β KL(p_i ‖ m_i) + (1 − β) KL(q_i ‖ m_i)       m = β p + (1 − β) q
        q = softmax(z / T) of the student, p of the teacher

    Of two distributions neither is right: each is compared with their mixture. It is finite whatever the logits, at
    most log 2 for β = ½, and symmetric there. Gradients flow to both logits, if they require them, and shrink as 1/T².

    Args:
        input: Student's logits (…, C, …).
        teacher_input: Teacher's logits, in the same shape.
        dim: The class axis, the last by default as in language models; 1 for images (N, C, H, W).
        beta: β in (0, 1), the teacher's part of the mixture, and the weight of its divergence. At 0 and 1 the loss is
            0; near 0 it is β KL(p‖q), and near 1 it is (1 − β) KL(q‖p).
        reduction: "none", "mean" (over rows, weighted) or "sum".
        token_weight: Weight of each row, in the rows' shape: input's without `dim`; 0 leaves a row, padding say, out.
            Default: 1.
        denominator: What "mean" divides by; a number or a tensor of one element. Default: the weight of the rows that
            count, in sum.
        temperature: T > 0, dividing both logits after scale and cap.
        softcap: Student's cap c > 0: z becomes c · tanh(z / c). Default: none.
        teacher_softcap: Teacher's cap, alike. Default: none.
        logit_scale: Factor on the student's logits, before the cap.
        teacher_logit_scale: Factor on the teacher's logits.
        out_dtype: Dtype of the returned loss. Default: the input's, and float32 under autocast.
        options: How to execute it, a `crossentropy.Options`. Default: as it chooses.
        validate: Look at the values: logits, weights, whether a row counts.

    Returns:
        The loss: a scalar, or the rows' shape for "none"; in the student's dtype (float32 under autocast), or
        out_dtype. In nats.

    Raises:
        ValueError: A shape, device, number or reduction does not fit.
        TypeError: A type or dtype does not fit.
        IndexError: `dim` is not an axis.

    Examples:
        >>> student, teacher = torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([[4.0, 0.0, 0.0]])
        >>> js_div_with_logits(student, teacher)
        tensor(0.0398)

    See Also:
        `kl_div_with_logits`; `linear_js_div`, from hidden states; `crossentropy.information.js_divergence`.

    References:
        J. Lin, Divergence Measures Based on the Shannon Entropy, 1991; R. Agarwal et al., On-Policy Distillation of
        Language Models (GKD), 2023.
    """
    return _of_logits(
        js(beta), input, teacher_input, dim=dim, reduction=reduction,
        token_weight=token_weight, denominator=denominator, temperature=temperature, softcap=softcap,
        teacher_softcap=teacher_softcap, logit_scale=logit_scale, teacher_logit_scale=teacher_logit_scale,
        out_dtype=out_dtype, options=options, validate=validate,
    )  # fmt: skip


# --- which divergence ---------------------------------------------------------------------------------------------


def kl(skew: float, *, reverse: bool = False) -> Mixture:
    """KL(p ‖ α p + (1 − α) q), or KL(q ‖ (1 − α) p + α q)."""
    part = _part("skew", skew)
    return Mixture(0.0, 1.0, 1.0 - part, part) if reverse else Mixture(1.0, 0.0, part, 1.0 - part)


def js(beta: float) -> Mixture:
    """β KL(p‖m) + (1 − β) KL(q‖m), m = β p + (1 − β) q."""
    part = _part("beta", beta, at_0=False)
    return Mixture(part, 1.0 - part, part, 1.0 - part)


_ENDS = " — others mean the kl_div of this name by 0, and the reverse_kl_div by 1"


def _part(name: str, value: float, *, at_0: bool = True) -> float:
    """A part of a mixture: 0, if it may be, or at least the smallest number that has all digits; and less than 1."""
    part, hint = contract.number(name, value, low=0.0, high=1.0), "" if at_0 else _ENDS
    if part == 1.0 or (part == 0.0 and not at_0):
        expected = f"a number in {'[' if at_0 else '('}0, 1)"
        raise ArgumentValueError(f"{name} is {value}, where the divergence is 0, expected {expected}{hint}")
    least = torch.finfo(torch.float32).smallest_normal
    if 0.0 < part < least:
        raise ArgumentValueError(f"{name} is {value}, expected at least {least:.4g}, which float32 can hold")
    return part


# --- all of it ----------------------------------------------------------------------------------------------------


def _of_heads(
    mixture: Mixture,
    input: Tensor,
    linear_weight: Tensor,
    teacher_input: Tensor,
    teacher_weight: Tensor,
    *,
    linear_bias: Tensor | None,
    teacher_bias: Tensor | None,
    **settings: Any,  # noqa: ANN401 (those of `_divergence`)
) -> Tensor:
    """A divergence of logits that two heads make."""
    shape = check_linear(input, linear_weight, linear_bias)
    teacher_names = ("teacher_input", "teacher_weight", "teacher_bias")
    teacher_shape = check_linear(teacher_input, teacher_weight, teacher_bias, names=teacher_names)
    check_distillation(shape, teacher_shape, linear_weight)
    student = LossTensors(input, linear_weight=linear_weight, linear_bias=linear_bias)
    teacher = LossTensors(teacher_input, linear_weight=teacher_weight, linear_bias=teacher_bias)
    return _divergence(mixture, student, teacher, shape, input.dim() - 1, **settings)


def _of_logits(
    mixture: Mixture,
    input: Tensor,
    teacher_input: Tensor,
    *,
    dim: int,
    **settings: Any,  # noqa: ANN401 (those of `_divergence`)
) -> Tensor:
    """A divergence of logits that are given."""
    shape = check_floating("input", input).shape
    if check_floating("teacher_input", teacher_input).shape != shape:
        raise ArgumentValueError(
            f"input has shape {tuple(shape)} and teacher_input {tuple(teacher_input.shape)}: expected the same "
            "rows and the same classes"
        )
    class_dim = axis("input", input, dim)
    return _divergence(mixture, LossTensors(input), LossTensors(teacher_input), shape, class_dim, **settings)


def _divergence(
    mixture: Mixture,
    student: LossTensors,
    teacher: LossTensors,
    shape: torch.Size,
    class_dim: int,
    *,
    reduction: str,
    token_weight: Tensor | None,
    denominator: Tensor | float | None,
    temperature: float,
    softcap: float | None,
    teacher_softcap: float | None,
    logit_scale: float,
    teacher_logit_scale: float,
    out_dtype: torch.dtype | None,
    options: AnyOptions,
    validate: bool,
) -> Tensor:
    """A divergence of two sides."""
    check_same_device(input=student.input, teacher_input=teacher.input)
    sharding.together({"input": student.input, "teacher_input": teacher.input}, {})
    student, spec = contract.resolve(
        student._replace(token_weight=token_weight, denominator=denominator),
        shape,
        class_dim,
        target_kind="none",
        reduction=reduction,
        softcap=softcap,
        logit_scale=logit_scale,
        temperature=temperature,
        mixture=mixture,
        out_dtype=out_dtype,
        options=options,
    )
    teacher, teacher_spec = contract.resolve(
        teacher,
        shape,
        class_dim,
        prefix="teacher_",
        target_kind="none",
        softcap=teacher_softcap,
        logit_scale=teacher_logit_scale,
        temperature=temperature,
        mixture=mixture,
    )
    loss = contract.make_loss("divergence", shape, ((student, spec), (teacher, teacher_spec)), options)
    if validate:
        _execution.check(loss, student, spec)
    return _execution.reduced(loss, student, spec, options)
