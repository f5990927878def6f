"""Targets: class indices or class probabilities of the right shape, dtype and range, or an error that helps."""

import math
from typing import Literal, NamedTuple

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
            f"{_hint_of_classes(target, class_dim)}"
        )
    if target.shape != rows:
        raise ArgumentValueError(_shape_message(shape, class_dim, target, probabilities_allowed))
    if target.dtype not in INTEGERS:
        raise ArgumentTypeError(
            f"target has dtype {target.dtype} and shape {tuple(target.shape)}: "
            f"{_float_hint(target, shape, class_dim, probabilities_allowed)}"
        )
    return target, False


_BINARY = "binary_cross_entropy_with_logits"


def _hint_of_classes(target: Tensor, class_dim: int, *, probabilities_allowed: bool = True) -> str:
    """What to make of integers or truth values in the shape of the logits."""
    shape, binary = tuple(target.shape), f"{_BINARY}(logits, target.to(logits.dtype))"
    if shape[class_dim] == 1:
        return f"One logit in a row: two classes take {binary}; more take a logit each, and target.squeeze({class_dim})"
    counts = _classes_of_rows(target, class_dim)
    if len(shape) == 1 and counts != (1, 1):
        return f"{_one_row(shape)}. One logit a row, for two classes, takes {binary}"
    if counts is None:
        floating = "; class probabilities are floating: target.to(logits.dtype)" if probabilities_allowed else ""
        return f"Class indices have the shape of the rows{floating}"
    label = f"target.{'int().' if target.dtype == torch.bool else ''}argmax({class_dim})"
    if counts[1] > 1:
        share = f", or share the probability 1 among them, target / target.sum({class_dim}, keepdim=True)"
        return f"Up to {counts[1]} classes in a row: use {binary}{share if counts[0] and probabilities_allowed else ''}"
    if not counts[0]:
        return (
            f"Rows without a class: use {binary}, or ignore them, torch.where(target.any({class_dim}), {label}, -100)"
        )
    probabilities = ", or class probabilities, target.to(logits.dtype)" if probabilities_allowed else ""
    kind = "A mask of classes" if target.dtype == torch.bool else "A one-hot target"
    return f"{kind}: pass class indices, {label}{probabilities}"


def _classes_of_rows(target: Tensor, class_dim: int) -> tuple[int, int] | None:
    """The fewest and the most ones in a row of zeros and ones; None where there are other numbers."""
    if not readable(target) or not target.numel():
        return 1, 1
    numbers = target.long()
    if numbers.min() < 0 or numbers.max() > 1:
        return None
    least, most = numbers.sum(class_dim).aminmax()
    return int(least), int(most)


def _one_row(shape: tuple[int, ...]) -> str:
    """What logits without a batch axis mean."""
    return (
        f"Logits of shape {shape} are one row of {shape[0]} classes, whose label has shape (); rows of logits are "
        "(N, C)"
    )


def _float_hint(target: Tensor, shape: torch.Size, class_dim: int, probabilities_allowed: bool) -> str:
    """What to do with a target in the shape of class indices that is not of integers."""
    if shape[class_dim] == 1:
        return (
            f"a binary target for one logit? use {_BINARY}(logits.squeeze({class_dim}), target), or make it two logits"
        )
    if target.is_floating_point() and readable(target):
        offence = first(target != target.floor())
        if offence is not None:
            return f"class indices are integers, and target{position(offence)} is {target[offence].item():.6g}"
    probabilities = f", or pass class probabilities of shape {tuple(shape)}" if probabilities_allowed else ""
    return f"class indices are integers — convert with target.long(){probabilities}"


def check_divergence_target(input: Tensor, target: object) -> Tensor:
    """The target of a divergence is floating; class indices have another loss."""
    if isinstance(target, Tensor) and target.dtype in INTEGERS and target.dim() == input.dim() - 1:
        raise ArgumentTypeError(
            f"target has dtype {target.dtype} and shape {tuple(target.shape)}, expected probabilities in the input's "
            "shape — for class indices use nll_loss"
        )
    return check_floating("target", target)


def check_binary_target(input: Tensor, target: object) -> Tensor:
    """The target of a binary loss has the input's shape, and real numbers or truth values."""
    target = check_tensor("target", target)
    if target.is_complex():
        raise ArgumentTypeError(f"target has dtype {target.dtype}, expected real numbers in [0, 1]")
    if target.shape == input.shape:
        return target
    hint = ""
    if (*target.shape, 1) == input.shape:
        hint = " — use input.squeeze(-1)"
    elif target.shape == (*input.shape, 1):
        hint = " — use target.squeeze(-1)"
    elif input.dim() > 1 and target.shape == without(input.shape, 1) and not target.is_floating_point():
        hint = f" — class indices? cross_entropy takes them; or F.one_hot(target, {input.shape[1]}), with classes last"
    raise ArgumentValueError(
        f"target has shape {tuple(target.shape)} and input {tuple(input.shape)}, expected the same shape: an answer "
        f"for each element{hint}"
    )


def _shape_message(shape: torch.Size, class_dim: int, target: Tensor, probabilities_allowed: bool) -> str:
    rows, got = tuple(without(shape, class_dim)), tuple(target.shape)
    probabilities = f" (class indices) or {tuple(shape)} (class probabilities)" if probabilities_allowed else ""
    message = f"target has shape {got}, expected {rows}{probabilities} for logits of shape {tuple(shape)}"
    if isinstance(target, torch.nn.Parameter):
        return f"{message}. A head? linear_cross_entropy(input, linear_weight, target) takes it"
    if target.shape == shape:
        floating = "Class probabilities? cross_entropy takes them, with logits; kl_div, with log-probabilities"
        hint = _hint_of_classes(target, class_dim, probabilities_allowed=False)
        return f"{message}. {floating if target.is_floating_point() else hint}"
    return f"{message}. {_shape_hint(tuple(shape), class_dim, rows, got)}".rstrip()


def _shape_hint(shape: tuple[int, ...], class_dim: int, rows: tuple[int, ...], got: tuple[int, ...]) -> str:
    """The likely mistake behind a target of the wrong shape."""
    if len(shape) == 1:
        return _one_row(shape)
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
    return labels.masked_fill(labels < 0, _LARGEST) if target.dtype == torch.uint64 else labels


_PADDING = {-100, -1, 255}
"""Labels that libraries and datasets give to what is to be ignored."""

_LARGEST = torch.iinfo(torch.int64).max


def check_labels(
    target: Tensor, num_classes: int, ignore_index: int, *, dtype: torch.dtype | None = None, wait: bool = False
) -> bool:
    """Class indices, where they can be read, are in [0, C) or equal to ignore_index. `dtype` is what they came in.

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
    ignored = target == ignore_index
    wrong = ((target < 0) | (target >= num_classes)) & ~ignored
    offence = first(wrong)
    if offence is None:
        return True
    marked = bool(ignored.any())
    mistake = label_mistake(target[wrong], target[~ignored], num_classes, marked=marked)
    hint = _wrapped_hint(target[wrong], ignore_index, dtype) or _label_hint(
        mistake, num_classes, ignore_index, marked=marked
    )
    label = int(target[offence].item())
    raise ArgumentIndexError(
        f"target{position(offence)} is {label}{' or more' if label == _LARGEST else ''}, expected a class in "
        f"[0, {num_classes}) or ignore_index ({ignore_index}){hint}{sharding.hint()}"
    )


def _wrapped_hint(wrong: Tensor, ignore_index: int, dtype: torch.dtype | None) -> str:
    """What if all labels out of range are what a negative ignore_index becomes in an unsigned dtype."""
    if dtype is None or dtype.is_signed or ignore_index >= 0:
        return ""
    wrapped = min(ignore_index % 2 ** (8 * dtype.itemsize), _LARGEST)
    if bool((wrong != wrapped).any()):
        return ""
    label = "a negative label" if wrapped == _LARGEST else f"{ignore_index}"
    return f" — is it {label} in {dtype}? convert labels to torch.int64 before they are marked"


class LabelMistake(NamedTuple):
    """The likely mistake behind labels out of range, and the labels that tell."""

    kind: Literal["padding", "paddings", "from_one", "too_few_classes", "unknown"]
    labels: list[int]


def label_mistake(wrong: Tensor, counted: Tensor, num_classes: int, *, marked: bool) -> LabelMistake:
    """The mistake behind labels that are wrong; `counted` are all but ignored ones, of which there are, if `marked`."""
    least, most = (int(x) for x in counted.aminmax())
    isolated = num_classes < 255 and not bool((counted == 254).any())
    padding = [value for value in wrong.unique().tolist() if value < 0 or (value == 255 and isolated)]
    if len(padding) == 1:
        return LabelMistake("paddings" if marked else "padding", padding)
    if padding:
        return LabelMistake("paddings" if _PADDING.issuperset(padding) else "unknown", padding)
    return LabelMistake("from_one" if most == num_classes and least > 0 else "too_few_classes", [most])


def _label_hint(mistake: LabelMistake, num_classes: int, ignore_index: int, *, marked: bool) -> str:
    """That mistake in words, with what mends it."""
    kind, labels = mistake
    if kind == "padding":
        return f" — padding? pass ignore_index={labels[0]}"
    if kind == "paddings":
        where = " | ".join(f"(target == {label})" for label in labels) if labels[1:] else f"target == {labels[0]}"
        return f" — padding? mark all of it alike, target.masked_fill({where}, {ignore_index})"
    if kind == "unknown":
        return ""
    if num_classes == 1:
        return f" — one logit for two classes? make it two, or use {_BINARY}"
    if kind == "too_few_classes":
        return f" — there are {num_classes} logits in a row, and labels up to {labels[0]} need {labels[0] + 1}"
    if not marked:
        return " — labels that start at 1? use target - 1"
    if 0 <= ignore_index < num_classes:
        return f" — labels that start at 1? use target.long() - 1, and ignore_index={ignore_index - 1}"
    return f" — labels that start at 1? use torch.where(target == {ignore_index}, target, target - 1)"
