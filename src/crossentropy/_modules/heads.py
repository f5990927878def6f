"""Losses of heads that are asked for some of their classes, or for cosines."""

import torch
from torch import Tensor

from crossentropy import _contract as contract
from crossentropy import functional as F
from crossentropy._contract import AnyOptions, Ignored
from crossentropy._keywords import hinting
from crossentropy._losses.sampled import Sampler, check_sampler
from crossentropy._losses.topk import Tail, check_tail
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
        device: Device of the head. Default: torch's.
        dtype: Dtype of the head. Default: torch's.
        weight: Class weights (C), any floating dtype; a buffer of the module. Default: 1.
        reduction: "none", "mean" (weighted by w_y) or "sum".
        ignore_index: A target value whose rows are left out, or several.
        out_dtype: Dtype of the returned loss. Default: the input's, and float32 under autocast.
        options: How to execute it, a `crossentropy.Options`. Default: as it chooses.
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
        self.scale: float = contract.number("scale", scale, low=0.0, above=True)
        self.margin: float = contract.number("margin", margin, low=0.0)
        self.angular_margin: float = contract.number("angular_margin", angular_margin, low=0.0)
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


class SampledLinearCrossEntropyLoss(torch.nn.Module):
    """Cross entropy against sampled classes, whose head the module holds: `functional.sampled_linear_cross_entropy`.

    The head is `self.linear`, a torch.nn.Linear. In evaluation (`module.eval()`) the loss is that of all classes.

    Args:
        in_features: D, the size of a hidden state.
        num_classes: C.
        negatives: "uniform", "log_uniform" or "in_batch".
        num_samples: How many classes are drawn, S: "uniform" and "log_uniform" need it. None for others.
        sparse: Give the head a sparse gradient, for torch.optim.SparseAdam.
        bias: Whether the head has a bias.
        device: Device of the head. Default: torch's.
        dtype: Dtype of the head. Default: torch's.
        weight: Class weights (C), any floating dtype; a buffer of the module. Default: 1.
        reduction: "none", "mean" (over rows that count, weighted) or "sum".
        ignore_index: A target value whose rows are left out, or several.
        logit_scale: Factor on the logits, before the correction.
        out_dtype: Dtype of the returned loss. Default: the input's, and float32 under autocast.
        options: How to execute it, a `crossentropy.Options`. Default: as it chooses.
        validate: Look at the values, as `functional.sampled_linear_cross_entropy`.

    Shape:
        input (…, D); target and token_weight (…); log_q (C); result a scalar, or (…) for "none".

    Raises:
        ValueError, TypeError, IndexError: As `functional.sampled_linear_cross_entropy`, the constructor for what it is
            given.

    Examples:
        >>> loss = SampledLinearCrossEntropyLoss(8, 1000, num_samples=50)
        >>> loss(torch.zeros(4, 8), torch.tensor([0, 1, 2, 3])).shape
        torch.Size([])
        >>> loss.eval()(torch.zeros(4, 8), torch.tensor([0, 1, 2, 3])).shape
        torch.Size([])

    See Also:
        `LinearCrossEntropyLoss`.

    References:
        Y. Bengio, J.-S. Senécal, Adaptive Importance Sampling to Accelerate Training of a Neural Probabilistic Language
        Model, 2008.
    """

    weight: Tensor | None

    @hinting
    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        negatives: Sampler = "uniform",
        num_samples: int | None = None,
        sparse: bool = False,
        bias: bool = False,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
        weight: Tensor | None = None,
        reduction: str = "mean",
        ignore_index: Ignored = -100,
        logit_scale: float = 1.0,
        out_dtype: torch.dtype | None = None,
        options: AnyOptions = None,
        validate: bool = False,
    ) -> None:
        check_sizes(in_features, num_classes, ())
        check_setting_of_weight(weight)
        contract.check_reduction(reduction)
        contract.labels_to_ignore(ignore_index)
        contract.check_extras(0.0, None, logit_scale, out_dtype, options)
        check_sampler(negatives, num_samples)
        super().__init__()
        self.linear: torch.nn.Linear = torch.nn.Linear(in_features, num_classes, bias=bias, device=device, dtype=dtype)
        self.register_buffer("weight", weight)
        self.negatives: Sampler = negatives
        self.num_samples = num_samples
        self.sparse = sparse
        self.reduction = reduction
        self.ignore_index = ignore_index
        self.logit_scale = logit_scale
        self.out_dtype = out_dtype
        self.options: AnyOptions = options
        self.validate = validate

    def forward(
        self,
        input: Tensor,
        target: Tensor,
        *,
        log_q: Tensor | None = None,
        token_weight: Tensor | None = None,
        denominator: Tensor | float | None = None,
    ) -> Tensor:
        """Loss of hidden states `input` against class indices `target`."""
        head, names = (
            self.linear,
            ("weight", "reduction", "ignore_index", "logit_scale", "out_dtype", "options", "validate"),
        )
        given = {name: getattr(self, name) for name in names}
        given |= {"linear_bias": head.bias, "token_weight": token_weight, "denominator": denominator}
        if not self.training:
            return F.linear_cross_entropy(input, head.weight, target, **given)
        return F.sampled_linear_cross_entropy(
            input,
            head.weight,
            target,
            negatives=self.negatives,
            num_samples=self.num_samples,
            log_q=log_q,
            sparse=self.sparse,
            **given,
        )

    def extra_repr(self) -> str:
        """The settings."""
        return settings(self, SampledLinearCrossEntropyLoss)


class LinearTopKKLDivLoss(torch.nn.Module):
    """Divergence of a head from a teacher's K most probable classes: `functional.linear_topk_kl_div` as a module.

    Args:
        tail: "rest", or "none" to leave the other classes out of the sum.
        reduction: "none", "mean" (over rows, weighted) or "sum".
        temperature: T > 0, dividing the student's logits after scale and cap.
        softcap: c > 0 of the cap c · tanh(z / c). Default: none.
        logit_scale: Factor on the logits, before the cap.
        out_dtype: Dtype of the returned loss. Default: the input's, and float32 under autocast.
        options: How to execute it, a `crossentropy.Options`. Default: as it chooses.
        validate: Look at the values, as `functional.linear_topk_kl_div`.

    Shape:
        input (…, D), linear_weight (C, D), linear_bias (C), teacher_indices and teacher_log_probs (…, K), token_weight
        (…); result a scalar, or (…) for "none".

    Raises:
        ValueError, TypeError, IndexError: As `functional.linear_topk_kl_div`, the constructor for its settings.

    Examples:
        >>> hidden, head = torch.eye(2), torch.tensor([[2.0, 0.0], [0.5, 0.0], [0.0, 3.0]])
        >>> top = torch.tensor([[0, 1], [2, 0]])
        >>> LinearTopKKLDivLoss()(hidden, head, top, torch.tensor([[0.7, 0.2], [0.9, 0.05]]).log())
        tensor(0.0025)

    See Also:
        `LinearKLDivLoss`, against a teacher's head.

    References:
        G. Hinton, O. Vinyals, J. Dean, Distilling the Knowledge in a Neural Network, 2015.
    """

    @hinting
    def __init__(
        self,
        *,
        tail: Tail = "rest",
        reduction: str = "mean",
        temperature: float = 1.0,
        softcap: float | None = None,
        logit_scale: float = 1.0,
        out_dtype: torch.dtype | None = None,
        options: AnyOptions = None,
        validate: bool = False,
    ) -> None:
        check_tail(tail)
        contract.check_reduction(reduction)
        contract.check_extras(0.0, softcap, logit_scale, out_dtype, options)
        super().__init__()
        self.tail: Tail = tail
        self.reduction = reduction
        self.temperature: float = contract.number("temperature", temperature, low=0.0, above=True)
        self.softcap = softcap
        self.logit_scale = logit_scale
        self.out_dtype = out_dtype
        self.options: AnyOptions = options
        self.validate = validate

    def forward(
        self,
        input: Tensor,
        linear_weight: Tensor,
        teacher_indices: Tensor,
        teacher_log_probs: Tensor,
        *,
        linear_bias: Tensor | None = None,
        token_weight: Tensor | None = None,
        denominator: Tensor | float | None = None,
    ) -> Tensor:
        """Loss of hidden states `input` under a head against the teacher's classes."""
        return F.linear_topk_kl_div(
            input,
            linear_weight,
            teacher_indices,
            teacher_log_probs,
            linear_bias=linear_bias,
            tail=self.tail,
            reduction=self.reduction,
            token_weight=token_weight,
            denominator=denominator,
            temperature=self.temperature,
            softcap=self.softcap,
            logit_scale=self.logit_scale,
            out_dtype=self.out_dtype,
            options=self.options,
            validate=self.validate,
        )

    def extra_repr(self) -> str:
        """The settings."""
        return settings(self, LinearTopKKLDivLoss)
