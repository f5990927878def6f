"""Losses of lazy logits, by the linear forms of the package's own: of hidden states and head.

cross_entropy, nll_loss · losses of rows' statistics · divergences, from all of a teacher's classes or some

A handler takes the arguments of the function, and gives NotImplemented where only the logits will do. Linear forms
have their classes last: targets and masks are moved.
"""

import functools
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from crossentropy import _contract as contract
from crossentropy import distributed, functional
from crossentropy.lazy._derivations import on_classes
from crossentropy.lazy._expression import Expression
from crossentropy.lazy._parts import Part
from crossentropy.lazy._tensor import LazyLogits, implements

# --- cross entropy ------------------------------------------------------------------------------------------------


@implements(F.cross_entropy, functional.cross_entropy)
def _cross_entropy(func: Any, input: Any, target: Any, weight: Any = None, *args: Any, **kwargs: Any) -> Any:
    names = ("size_average", "ignore_index", "reduce", "reduction", "label_smoothing")
    kwargs = {**dict(zip(names, args)), **kwargs}
    if len(args) > len(names) or not isinstance(input, LazyLogits) or input._expression.kind != "logits":
        return NotImplemented
    if isinstance(target, Tensor) and target.is_floating_point():
        if target.dim() != input.dim() or not input.dim():
            return NotImplemented
        target = target.movedim(_axis(input), -1)
    return _loss(func, input, target, weight=weight, **kwargs)


@implements(F.nll_loss, functional.nll_loss)
def _nll_loss(func: Any, input: Any, target: Any, weight: Any = None, *args: Any, **kwargs: Any) -> Any:
    names = ("size_average", "ignore_index", "reduce", "reduction")
    kwargs = {**dict(zip(names, args)), **kwargs}
    if len(args) > len(names) or not isinstance(input, LazyLogits) or input._expression.kind != "log_probs":
        return NotImplemented
    if not isinstance(target, Tensor) or target.is_floating_point():
        return NotImplemented
    return _loss(func, input, target, weight=weight, **kwargs)


def _loss(
    func: Any,
    input: LazyLogits,
    target: Any,
    *,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    ignore_index: contract.Ignored = -100,
    out_dtype: torch.dtype | None = None,
    logit_scale: float = 1.0,
    softcap: float | None = None,
    **ours: Any,
) -> Any:
    """Cross entropy of lazy logits, or of their log-probabilities, against classes or probabilities (classes last)."""
    e = input._expression
    ours = {name: x for name, x in ours.items() if name not in _OF_ONE_RANK or not (x is None or x is False)}
    if not isinstance(target, Tensor) or not _are_of_rows(input, softcap, logit_scale, target, *ours.values()):
        return NotImplemented
    if func in (F.cross_entropy, F.nll_loss) and not _as_torch(input, target, ignore_index, **ours):
        return NotImplemented
    count = ours.get("num_classes") or input.shape[_axis(input)]
    if target.shape != (*e.rows().shape[:-1], *([count] if target.is_floating_point() else [])):
        return NotImplemented
    if e.part is not None and (_OF_ONE_RANK & ours.keys() or not isinstance(ignore_index, int)):
        return NotImplemented
    if e.part is not None and any(e.part.is_elsewhere(x) for x in (target, *ours.values())):
        return NotImplemented
    if "class_mask" in ours:
        if not masks(ours["class_mask"], input):
            return NotImplemented
        ours["class_mask"] = _classes_last(ours["class_mask"], input)
    if size_average is not None or reduce is not None:
        reduction = contract.resolve_reduction(reduction, size_average, reduce)
    input.record(func, fused=True)
    return (of_head if e.part is None else _of_part)(
        e,
        target,
        reduction=reduction,
        ignore_index=ignore_index,
        out_dtype=out_dtype or contract.loss_dtype(input),
        logit_scale=logit_scale,
        softcap=softcap,
        **ours,
    )


_OF_ONE_RANK = {"num_classes", "class_mask", "return_statistics"}
"""What the loss of classes that are spread over ranks does not take."""


def _axis(z: Tensor) -> int:
    """The class axis of a loss."""
    return 1 if z.dim() > 1 else 0


def _are_of_rows(z: LazyLogits, softcap: Any, logit_scale: Any, *others: Any) -> bool:
    """Whether there are logits whose classes lie where losses have them, and the other tensors are beside them."""
    return (
        z.dim() > 0
        and z.numel() > 0
        and z._expression.class_dim == _axis(z)
        and _composes(z, softcap, logit_scale)
        and not any(isinstance(x, LazyLogits) for x in others)
        and not any(isinstance(x, Tensor) and x.device != z.device for x in others)
    )


def _composes(z: LazyLogits, softcap: Any, logit_scale: Any) -> bool:
    """Whether a loss's scale and cap can be those of the head too: nothing follows a cap."""
    nothing = softcap is None and logit_scale == 1.0
    return isinstance(logit_scale, (int, float)) and (z._expression.softcap is None or nothing)


def masks(class_mask: Any, z: Tensor) -> bool:
    """Whether a mask is one of the classes, or of the logits, if it is any."""
    return class_mask is None or (isinstance(class_mask, Tensor) and class_mask.dim() in (1, z.dim()))


def _classes_last(class_mask: Tensor | None, z: Tensor) -> Tensor | None:
    return class_mask if class_mask is None or class_mask.dim() == 1 else class_mask.movedim(_axis(z), -1)


def _as_torch(
    input: LazyLogits, target: Tensor, ignore_index: Any, weight: Any = None, label_smoothing: Any = 0.0, **_: Any
) -> bool:
    """Whether torch takes these arguments, and without a promotion of dtypes: where ours takes more, torch refuses."""
    dtype = contract.loss_dtype(input)
    return (
        (target.dtype == dtype if target.is_floating_point() else target.dtype == torch.int64)
        and (weight is None or (isinstance(weight, Tensor) and weight.dtype == dtype and not weight.requires_grad))
        and type(ignore_index) is int
        and isinstance(label_smoothing, (int, float))
        and 0.0 <= label_smoothing <= 1.0
    )


def of_head(
    e: Expression,
    target: Tensor,
    *,
    out_dtype: torch.dtype,
    logit_scale: float = 1.0,
    softcap: float | None = None,
    **options: Any,
) -> Tensor:
    e.check()
    weight, bias = e.head()
    usual = e.product is None and out_dtype == weight.dtype  # a tiny loss without options takes a shorter way
    with e.autocast():
        return functional.linear_cross_entropy(
            e.rows(),
            weight,
            target,
            linear_bias=bias,
            logit_scale=e.scale * logit_scale,
            softcap=e.softcap if softcap is None else softcap,
            out_dtype=None if usual else out_dtype,
            **options,
        )


def _of_part(
    e: Expression, target: Tensor, *, logit_scale: float = 1.0, softcap: float | None = None, **options: Any
) -> Tensor:
    """The loss of all classes, of which each rank has a part; DTensor reduces the hidden states' gradient."""
    e.check()
    part, (weight, bias) = part_of(e), e.head()
    with e.autocast():
        loss = distributed.vocab_parallel_linear_cross_entropy(
            e.rows(),
            weight,
            part.own_of(target) if target.is_floating_point() else part.shared(target),
            linear_bias=bias,
            logit_scale=e.scale * logit_scale,
            softcap=e.softcap if softcap is None else softcap,
            **places(part),
            **{name: part.shared(value) for name, value in options.items()},
        )
    return part.everywhere(loss)


def part_of(e: Expression) -> Part:
    assert e.part is not None
    return e.part


def places(part: Part) -> dict[str, Any]:
    """Where a rank's classes are among all, and that its part of the hidden states' gradient is wanted."""
    places = {"group": part.mesh, "vocab_start": part.begin, "num_classes": part.classes}
    return {**places, "reduce_input_grad": False}


# --- functions of rows' statistics ----------------------------------------------------------------------------------


@implements(functional.focal_loss, functional.poly1_loss, functional.generalized_cross_entropy)
def _known_row_loss(func: Any, input: Any, target: Any, **settings: Any) -> Any:
    return _row_loss(func, func, input, target, **settings)


@implements(functional.row_loss)
def _any_row_loss(func: Any, function: Any, input: Any, target: Any = None, **settings: Any) -> Any:
    return _row_loss(func, functools.partial(func, function), input, target, **settings)


def _row_loss(
    func: Any,
    loss: Callable[..., Tensor],
    input: Any,
    target: Any,
    *,
    linear_weight: Any = None,
    linear_bias: Any = None,
    class_mask: Any = None,
    softcap: Any = None,
    logit_scale: Any = 1.0,
    **ours: Any,
) -> Any:
    """A function of rows' statistics, by its linear form."""
    if not _is_plain(input) or linear_weight is not None or linear_bias is not None:
        return NotImplemented
    if not _are_of_rows(input, softcap, logit_scale, target, class_mask, *ours.values()):
        return NotImplemented
    if isinstance(target, Tensor) and target.shape != input._expression.rows().shape[:-1]:
        return NotImplemented
    if not masks(class_mask, input):
        return NotImplemented
    input.record(func, fused=True)
    e = input._expression
    weight, bias = e.head()
    e.check()
    with e.autocast():
        return loss(
            e.rows(),
            target,
            linear_weight=weight,
            linear_bias=bias,
            class_mask=_classes_last(class_mask, input),
            **_transforms(input, softcap, logit_scale),
            **_in_dtype(ours, input),
        )


def _is_plain(z: Any) -> bool:
    """Whether it stands for logits of which all classes are here."""
    return isinstance(z, LazyLogits) and z._expression.kind == "logits" and z._expression.part is None


def _transforms(z: LazyLogits, softcap: float | None, logit_scale: float, prefix: str = "") -> dict[str, Any]:
    """Scale and cap of logits, with what a loss adds."""
    e = z._expression
    return {
        f"{prefix}logit_scale": e.scale * logit_scale,
        f"{prefix}softcap": e.softcap if softcap is None else softcap,
    }


def _in_dtype(ours: dict[str, Any], *logits: Tensor) -> dict[str, Any]:
    """Settings of a loss that is returned in the dtype that it would have of these logits, unless another is asked."""
    dtype = functools.reduce(torch.promote_types, [contract.loss_dtype(z) for z in logits])
    return {**ours, "out_dtype": ours.get("out_dtype") or dtype}


# --- divergences --------------------------------------------------------------------------------------------------


@implements(F.kl_div, functional.kl_div)
def _kl_div(
    func: Any,
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
    validate: bool = False,
) -> Any:
    if not isinstance(input, LazyLogits) or not isinstance(target, LazyLogits) or input.shape != target.shape:
        return NotImplemented
    student, teacher = input._expression, target._expression
    if (student.kind, teacher.kind) != ("log_probs", "log_probs" if log_target else "probs"):
        return NotImplemented
    if student.part is not None or teacher.part is not None:
        return NotImplemented
    if student.class_dim != teacher.class_dim or student.product != teacher.product:
        return NotImplemented
    if size_average is not None or reduce is not None:
        reduction = contract.resolve_reduction(reduction, size_average, reduce)
    if reduction not in ("batchmean", "mean", "sum"):  # "none" has a number for each class
        return NotImplemented
    (weight, bias), (teacher_weight, teacher_bias) = student.head(), teacher.head()
    student.check()
    teacher.check()
    input.record(func, fused=True)
    with student.autocast():
        total = functional.linear_kl_div(
            student.rows(),
            weight,
            teacher.rows(),
            teacher_weight,
            linear_bias=bias,
            teacher_bias=teacher_bias,
            reduction="sum",
            softcap=student.softcap,
            teacher_softcap=teacher.softcap,
            logit_scale=student.scale,
            teacher_logit_scale=teacher.scale,
            out_dtype=torch.promote_types(input.dtype, target.dtype),
            validate=validate,
        )
    return total / {"batchmean": input.shape[0], "mean": input.numel(), "sum": 1}[reduction]


@implements(functional.topk_kl_div_with_logits)
def _topk_kl_div(
    func: Any,
    input: Any,
    indices: Any,
    log_probs: Any,
    *,
    dim: Any = -1,
    softcap: Any = None,
    logit_scale: Any = 1.0,
    **ours: Any,
) -> Any:
    """Distillation from some classes of a teacher."""
    teacher = indices, log_probs
    if not _is_plain(input) or not all(isinstance(x, Tensor) and x.dim() == input.dim() for x in teacher):
        return NotImplemented
    plain = input.numel() and on_classes(input, dim) and _composes(input, softcap, logit_scale)
    if not plain or any(isinstance(x, LazyLogits) for x in (*teacher, *ours.values())):
        return NotImplemented
    e = input._expression
    axis = e.class_dim
    indices, log_probs = (x.movedim(axis, -1) for x in teacher)
    rows = e.rows()
    if indices.shape != log_probs.shape or indices.shape[:-1] != rows.shape[:-1]:
        return NotImplemented
    input.record(func, fused=True)
    weight, bias = e.head()
    e.check()
    settings = {**_transforms(input, softcap, logit_scale), **_in_dtype(ours, input)}
    with e.autocast():
        return functional.linear_topk_kl_div(rows, weight, indices, log_probs, linear_bias=bias, **settings)


_LINEAR_DIVERGENCES: dict[Any, Callable[..., Tensor]] = {
    functional.kl_div_with_logits: functional.linear_kl_div,
    functional.reverse_kl_div_with_logits: functional.linear_reverse_kl_div,
    functional.js_div_with_logits: functional.linear_js_div,
}


@implements(*_LINEAR_DIVERGENCES)
def _divergence(
    func: Any,
    input: Any,
    teacher_input: Any,
    *,
    dim: Any = -1,
    softcap: Any = None,
    logit_scale: Any = 1.0,
    teacher_softcap: Any = None,
    teacher_logit_scale: Any = 1.0,
    **ours: Any,
) -> Any:
    """Divergences of two heads' logits."""
    both = (input, softcap, logit_scale), (teacher_input, teacher_softcap, teacher_logit_scale)
    if not all(_is_plain(z) and z.numel() and on_classes(z, dim) for z, _, _ in both):
        return NotImplemented
    if input.shape != teacher_input.shape or input.device != teacher_input.device:
        return NotImplemented
    if not all(_composes(z, cap, scale) for z, cap, scale in both):
        return NotImplemented
    student, teacher = input._expression, teacher_input._expression
    if student.product != teacher.product or any(isinstance(x, LazyLogits) for x in ours.values()):
        return NotImplemented
    input.record(func, fused=True)
    teacher_input.record(func, fused=True)
    (weight, bias), (teacher_weight, teacher_bias) = student.head(), teacher.head()
    student.check()
    teacher.check()
    with student.autocast():
        return _LINEAR_DIVERGENCES[func](
            student.rows(),
            weight,
            teacher.rows(),
            teacher_weight,
            linear_bias=bias,
            teacher_bias=teacher_bias,
            **_transforms(*both[0]),
            **_transforms(*both[1], "teacher_"),
            **_in_dtype(ours, input, teacher_input),
        )


def wide(z: Tensor) -> torch.dtype:
    return torch.promote_types(z.dtype, torch.float32)
