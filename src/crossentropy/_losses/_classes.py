"""Classes that count, of those that logits or a head have.

    num_classes    the first so many; the others pad a vocabulary
    class_mask     True where a class counts: (C) for all rows, or as logits are, (…, C, …), for each

A class that does not count has the logit −inf after any cap: probability and gradient 0, and no share of label
smoothing. No label may be such a class: where labels can be read that is an error, else the row's loss is nan.

A head's logits are masked as they are made, by a bias of −inf or where a chunk of them is; logits that are given are
copied once.
"""

from dataclasses import replace

import torch
from torch import Tensor

from crossentropy import _sharding as sharding
from crossentropy._errors import ArgumentIndexError, ArgumentTypeError, ArgumentValueError, kind_of
from crossentropy._loss import LossSpec, LossTensors
from crossentropy._tensors import check_tensor
from crossentropy._values import first, position, readable


def first_classes(name: str, x: Tensor, dim: int, num_classes: int | None) -> Tensor:
    """What belongs to the first `num_classes` classes along `dim`: a view."""
    if num_classes is None:
        return x
    if isinstance(num_classes, bool) or not isinstance(num_classes, (int, torch.SymInt)):
        raise ArgumentTypeError(f"num_classes is {kind_of(num_classes)}, expected an int: how many classes count")
    if not 1 <= num_classes <= x.shape[dim]:
        raise ArgumentValueError(
            f"num_classes is {num_classes}, expected a number in [1, {x.shape[dim]}]: so many classes {name} has"
        )
    return x.narrow(dim, 0, num_classes)


def first_of_head(num_classes: int | None, head: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """The head of the first `num_classes` classes, and its bias."""
    if num_classes is None:
        return head, bias
    head = check_tensor("linear_weight", head)
    return (
        first_classes("linear_weight", head, 0, num_classes),
        None if bias is None else first_classes("linear_bias", check_tensor("linear_bias", bias), 0, num_classes),
    )


def masked(
    tensors: LossTensors, spec: LossSpec, shape: torch.Size, class_mask: Tensor | None
) -> tuple[LossTensors, LossSpec, torch.Size, Tensor | None]:
    """Tensors, spec and shape of a loss in which only the classes of a mask count, and what is absent from its rows."""
    if class_mask is None:
        return tensors, spec, shape, None
    class_mask = _checked(class_mask, tensors, spec, shape)
    tensors = tensors._replace(target=_counting(tensors.target, class_mask, spec))
    spec = replace(spec, masked=True, ignores=tensors.target is not None and not spec.probabilities)
    if spec.label_smoothing:
        return *_gathered(tensors, spec, shape, class_mask), None
    if tensors.linear_weight is None:
        over = class_mask
        if class_mask.dim() == 1:
            over = class_mask.reshape((-1,) + (1,) * (len(shape) - spec.class_dim - 1))
        return tensors._replace(input=tensors.input.masked_fill(~over, -torch.inf)), spec, shape, None
    never = ~(class_mask if class_mask.dim() == 1 else class_mask.flatten(0, -2).any(0))
    head, bias = _numbers(tensors.linear_weight, never), tensors.linear_bias
    tensors = tensors._replace(linear_weight=head)
    if class_mask.dim() > 1:
        return tensors, spec, shape, ~class_mask.expand(shape)
    if bias is None:
        bias = head.new_zeros(class_mask.shape)
    over = class_mask.reshape((-1,) + (1,) * (bias.dim() - 1))
    return tensors._replace(linear_bias=bias.masked_fill(~over, -torch.inf)), spec, shape, None


def _numbers(head: Tensor, never: Tensor) -> Tensor:
    """The head, with 0 for nan and inf of classes that count in no row, where they can be read: 0 · nan is nan."""
    if not readable(head, never) or bool(head.detach()[never].isfinite().all()):
        return head
    return head.masked_fill(never.reshape((-1,) + (1,) * (head.dim() - 1)), 0.0)


def _checked(class_mask: object, tensors: LossTensors, spec: LossSpec, shape: torch.Size) -> Tensor:
    """A mask of the classes, or of the logits."""
    if not isinstance(class_mask, Tensor) or class_mask.dtype != torch.bool:
        raise ArgumentTypeError(
            f"class_mask is {kind_of(class_mask)}, expected a tensor of torch.bool, True where a class counts"
        )
    if class_mask.device != tensors.input.device:
        raise ArgumentValueError(f"class_mask is on {class_mask.device}, input on {tensors.input.device}")
    if any(sharding.is_distributed(x) for x in (*tensors, class_mask) if isinstance(x, Tensor)):
        raise ArgumentValueError("class_mask is not for DTensors: mask a head's bias with -inf, which is the same")
    of_classes = torch.Size((spec.num_classes,))
    if class_mask.shape == of_classes:
        return class_mask
    head, given = tensors.linear_weight, class_mask
    if class_mask.dim() != len(shape) or any(n not in (1, m) for n, m in zip(class_mask.shape, shape)):
        raise ArgumentValueError(
            f"class_mask has shape {tuple(class_mask.shape)}, expected that of the classes {tuple(of_classes)} or "
            f"of the logits {tuple(shape)}"
        )
    if head is not None and head.dim() > 2:
        raise ArgumentValueError("class_mask of each row is not for K-dimensional heads: give one of the classes")
    return given.expand(shape)


def _counting(target: Tensor | None, class_mask: Tensor, spec: LossSpec) -> Tensor | None:
    """Labels, of which none is a class that does not count."""
    if target is None or spec.probabilities:
        return target
    known = (target >= 0) & (target < spec.num_classes) & (target != spec.ignore_index)
    label = torch.where(known, target, 0)
    if class_mask.dim() == 1:
        counts = class_mask[label]
    else:
        counts = class_mask.gather(spec.class_dim, label.unsqueeze(spec.class_dim)).squeeze(spec.class_dim)
    wrong = known & ~counts
    if not readable(target, class_mask):
        unknown = spec.num_classes + (spec.ignore_index == spec.num_classes)
        return target.masked_fill(wrong, unknown)
    offence = first(wrong)
    if offence is not None:
        raise ArgumentIndexError(
            f"target{position(offence)} is class {int(target[offence])}, which class_mask leaves out: its loss would "
            "be inf — let the class count, or give the row ignore_index"
        )
    return target


def _gathered(
    tensors: LossTensors, spec: LossSpec, shape: torch.Size, class_mask: Tensor
) -> tuple[LossTensors, LossSpec, torch.Size]:
    """The loss of the classes that count, gathered, over which smoothing spreads. A device is waited for."""
    if class_mask.dim() > 1 or spec.probabilities:
        what = "a class_mask for each row" if class_mask.dim() > 1 else "class probabilities"
        raise ArgumentValueError(
            f"label_smoothing is {spec.label_smoothing}, and with {what} it has no one number of classes to be spread "
            "over: give class probabilities that are smoothed already, and a mask of the logits"
        )
    if not (torch.compiler.is_compiling() or readable(class_mask, wait=True)):
        raise ArgumentValueError(
            f"label_smoothing is {spec.label_smoothing}, and class_mask has no values to read here (the meta device, "
            "vmap), which tell over how many classes it is spread: give num_classes, or class probabilities"
        )
    index = class_mask.nonzero().flatten()
    if not len(index):
        raise ArgumentValueError("class_mask leaves out every class: none is left to spread label_smoothing over")
    d, weight, head, bias = spec.class_dim, tensors.weight, tensors.linear_weight, tensors.linear_bias
    chosen = tensors._replace(
        target=None if tensors.target is None else _places(tensors.target, class_mask, spec),
        weight=None if weight is None else weight.index_select(0, index),
        input=tensors.input.index_select(d, index) if head is None else tensors.input,
        linear_weight=None if head is None else head.index_select(0, index),
        linear_bias=None if bias is None else bias.index_select(0, index),
    )
    spec = replace(spec, num_classes=len(index), ignore_index=_IGNORED)
    return chosen, spec, torch.Size((*shape[:d], len(index), *shape[d + 1 :]))


_IGNORED, _UNKNOWN = -100, -1


def _places(target: Tensor, class_mask: Tensor, spec: LossSpec) -> Tensor:
    """Labels by their places among the classes that count."""
    known = (target >= 0) & (target < spec.num_classes)
    place = torch.where(known, (class_mask.cumsum(0) - 1)[torch.where(known, target, 0)], _UNKNOWN)
    return place.masked_fill(target == spec.ignore_index, _IGNORED)
