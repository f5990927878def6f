"""Targets: class indices or class probabilities of the right shape, dtype and range, or an error that helps."""

import math

import torch
from torch import Tensor

from crossentropy import _sharding as sharding
from crossentropy._errors import ArgumentIndexError, ArgumentTypeError, ArgumentValueError
from crossentropy._loss import without
from crossentropy._tensors import INTEGERS, check_floating, check_tensor
from crossentropy._values import first, position, readable


def check_target(
    shape: torch.Size, class_dim: int, target: object, *, probabilities_allowed: bool
) -> tuple[Tensor, bool]:
    """The target, and whether it holds class probabilities (else indices), for logits of the given shape."""
    target = check_tensor("target", target)
    rows = without(shape, class_dim)
    if target.shape == shape and probabilities_allowed:
        if target.is_floating_point():
            return target, True
        raise ArgumentTypeError(
            f"target has dtype {target.dtype} and the shape of the logits, {tuple(shape)}. "
            f"{_one_hot_hint(target, class_dim)}"
        )
    if target.shape != rows:
        raise ArgumentValueError(_shape_message(shape, class_dim, target, probabilities_allowed))
    if target.dtype not in INTEGERS:
        raise ArgumentTypeError(
            f"target has dtype {target.dtype} and shape {tuple(target.shape)}: {_float_hint(shape, class_dim)}"
        )
    return target, False


def _one_hot_hint(target: Tensor, class_dim: int) -> str:
    """What to make of integers or truth values in the shape of the logits."""
    if readable(target) and target.numel() and target.shape[class_dim]:
        ones, extremes = target.long().sum(class_dim), target.long().aminmax()
        if extremes.min < 0 or extremes.max > 1:
            return "Class indices have the shape of the rows; class probabilities are floating: target.to(input.dtype)"
        if ones.max() > 1:
            return (
                f"Up to {int(ones.max())} classes in a row: use binary_cross_entropy_with_logits, or share the "
                f"probability 1 among them, target / target.sum({class_dim}, keepdim=True)"
            )
    indices = f"target.{'int().' if target.dtype == torch.bool else ''}argmax({class_dim})"
    kind = "A mask of classes" if target.dtype == torch.bool else "A one-hot target"
    return f"{kind}: pass class indices, {indices}, or class probabilities, target.to(input.dtype)"


def _float_hint(shape: torch.Size, class_dim: int) -> str:
    """What to make of a target with the shape of class indices that is not of integers."""
    if shape[class_dim] == 1:
        return "a binary target for one logit? use binary_cross_entropy_with_logits, or make it two logits"
    probabilities = f"class probabilities of shape {tuple(shape)}"
    return f"class indices are integers — convert with target.long(), or pass {probabilities}"


def check_divergence_target(input: Tensor, target: object) -> Tensor:
    """The target of a divergence is floating; class indices have another loss."""
    if isinstance(target, Tensor) and target.dtype in INTEGERS and target.dim() == input.dim() - 1:
        raise ArgumentTypeError(
            f"target has dtype {target.dtype} and shape {tuple(target.shape)}, expected probabilities in the input's "
            "shape — for class indices use nll_loss"
        )
    return check_floating("target", target)


def _shape_message(shape: torch.Size, class_dim: int, target: Tensor, probabilities_allowed: bool) -> str:
    rows, got = tuple(without(shape, class_dim)), tuple(target.shape)
    probabilities = f" (class indices) or {tuple(shape)} (class probabilities)" if probabilities_allowed else ""
    message = f"target has shape {got}, expected {rows}{probabilities} for logits of shape {tuple(shape)}"
    if isinstance(target, torch.nn.Parameter):
        return f"{message}. A head? linear_cross_entropy(input, linear_weight, target) takes it"
    return f"{message}. {_shape_hint(tuple(shape), class_dim, rows, got)}".rstrip()


def _shape_hint(shape: tuple[int, ...], class_dim: int, rows: tuple[int, ...], got: tuple[int, ...]) -> str:
    """The likely mistake behind a target of the wrong shape."""
    if len(shape) > 2 and class_dim == 1 and shape[:-1] == got:
        axes = ", ".join(
            ("N", "T", "C") if len(shape) == 3 else ("N", *(f"d{i}" for i in range(1, len(shape) - 1)), "C")
        )
        move = "transpose(1, 2)" if len(shape) == 3 else "movedim(-1, 1)"
        return f"({axes}) logits: the class axis must be 1 — use input.{move}"
    if got == (*rows, 1):
        return "It has a trailing axis of size 1 — use target.squeeze(-1)"
    if len(rows) > 1 and got == (rows[0], 1, *rows[1:]):
        return "It has a class axis of size 1 — use target.squeeze(1)"
    if math.prod(got) == math.prod(rows) and len(rows) == 1:
        return "The logits are flattened and the target is not — use target.reshape(-1)"
    if len(shape) > 2 and class_dim == 1 and got == (math.prod(shape[:-1]),):
        return "The target is flattened and the logits are not — use input.flatten(0, -2)"
    if len(rows) > 1 and got == (math.prod(rows),):
        return f"The target is flattened — use target.reshape{rows}"
    if len(shape) == 2 and class_dim == 1 and got == (shape[1],):
        return "As many labels as classes: are the logits transposed, or a head and its hidden states swapped?"
    if rows and got and rows[0] != got[0] and rows[1:] == got[1:]:
        return f"Expected input batch_size ({rows[0]}) to match target batch_size ({got[0]})"
    return ""


def long(target: Tensor) -> Tensor:
    """The labels as int64; those of uint64 that do not fit are out of any range."""
    labels = target.long()
    return labels.masked_fill(labels < 0, torch.iinfo(torch.int64).max) if target.dtype == torch.uint64 else labels


def check_labels(target: Tensor, num_classes: int, ignore_index: int, *, wait: bool = False) -> bool:
    """Class indices, where they can be read, are in [0, C) or equal to ignore_index.

    Returns:
        Whether there may be others than those in [0, C): ignored ones, or unread ones.
    """
    if not readable(target, wait=wait):
        return True
    if target.numel() == 0:
        return False
    least, most = (int(x) for x in target.aminmax())
    if least >= 0 and most < num_classes:
        return least <= ignore_index <= most
    wrong = ((target < 0) | (target >= num_classes)) & (target != ignore_index)
    offence = first(wrong)
    if offence is None:
        return True
    raise ArgumentIndexError(
        f"target{position(offence)} is {int(target[offence].item())}, expected a class in [0, {num_classes}) or "
        f"ignore_index ({ignore_index}){_label_hint(target[wrong], least, most, num_classes)}{sharding.hint()}"
    )


def _label_hint(wrong: Tensor, least: int, most: int, num_classes: int) -> str:
    """The likely mistake behind labels out of range, of all that are between `least` and `most`."""
    lowest, highest = (int(x) for x in wrong.aminmax())
    if lowest == highest and (lowest < 0 or lowest == 255):
        return f" — padding? pass ignore_index={lowest}"
    if lowest < 0:
        return ""
    if num_classes == 1:
        return " — one logit for two classes? make it two, or use binary_cross_entropy_with_logits"
    if most == num_classes and least > 0:
        return " — labels that start at 1? use target - 1"
    return f" — there are {num_classes} logits in a row, and labels up to {most} need {most + 1}"
