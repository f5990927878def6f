"""What is wrong with the target of a loss, with the axes of its input, or with its settings."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from crossentropy.doctor._knowledge._axes import class_axis_of
from crossentropy.doctor._knowledge._loss_call import Found
from crossentropy.doctor._knowledge._operations import MOVES
from crossentropy.doctor._runtime._axes import VIEWS, before, source, viewed
from crossentropy.doctor._runtime._call import Call, class_axis, ignored_label, num_classes, place_of
from crossentropy.doctor._runtime._numbers import ones_per_row
from crossentropy.doctor._runtime._trace import Trace


def shapes(call: Call) -> Iterator[Found]:
    """Class axis, one logit, and targets of other shapes or dtypes than class indices have."""
    x, y, axis = call.x, call.y, class_axis(call)
    rows = (*x.shape[:axis], *x.shape[axis + 1 :])
    if x.shape[axis] == 1 and not (y.is_floating_point() and y.shape == x.shape and call.loss == "mse_loss"):
        yield Found(
            "single-logit-cross-entropy",
            "the input has one class: softmax of one logit is 1, so the loss is 0 and so is its gradient",
        )
        return
    if x.dim() > 2 and tuple(y.shape) == tuple(x.shape[:-1]) and tuple(y.shape) != rows:
        yield _axis_message(x)
    elif y.dim() == x.dim() and y.shape != x.shape and 1 in y.shape and math.prod(y.shape) == math.prod(rows):
        where = next(i for i, size in enumerate(y.shape) if size == 1)
        yield Found(
            "target-extra-dim",
            f"the target has shape {tuple(y.shape)}, expected {rows}: an axis of size 1 too many — "
            f"target.squeeze({where})",
        )
    elif tuple(y.shape) == rows and y.is_floating_point():
        yield Found("float-class-index", f"class indices have dtype {y.dtype}, expected integers — target.long()")
    elif y.shape == x.shape and not y.is_floating_point():
        ones = ones_per_row(y, axis)
        if ones is not None:
            rule = "one-hot-target" if ones == 1 else "multi-hot-target"
            yield Found(rule, f"the target is {_hot(ones)} in {y.dtype}: expected class indices, {rows}")


def _axis_message(x: Tensor) -> Found:
    fix = "transpose(1, 2)" if x.dim() == 3 else "movedim(-1, 1)"
    return Found(
        "class-axis-not-one",
        f"the input has shape {tuple(x.shape)} with its classes on the last axis, and cross_entropy reads them "
        f"along axis 1 — input.{fix}",
    )


def moved_axis(call: Call) -> Iterator[Found]:
    """Classes of a linear layer or convolution that are no longer on the loss's class axis."""
    x, axis = call.x, class_axis(call)
    made, at = source(call.input, axis)
    home = class_axis_of(made.op, len(made.shape))
    if home is None or at == home or made.shape[home] != x.shape[axis]:
        return
    view = _mixing_view(call.input, axis)
    fits = x.dim() > 2 and tuple(call.y.shape) == (*x.shape[:axis], *x.shape[axis + 1 :])
    if fits and at is not None and made.shape[-1] == x.shape[-1]:
        yield _axis_message(x)
    elif view is not None:
        yield Found(
            "view-instead-of-permute",
            f"{view.op}{place_of(view)} makes {view.shape} of {view.parents[0].shape}, whose classes are on "
            "another axis: rows and classes are mixed — permute the class axis to the end first",
            place=view.place,
        )


def _mixing_view(trace: Trace, axis: int) -> Trace | None:
    """The view in which an axis ceases to be one, or becomes another; None where another operation does that."""
    found: Trace | None = None
    while trace.op in MOVES and trace.parents:
        parent = viewed(trace)
        at = before(trace, parent, axis)
        if trace.op in VIEWS and parent.shape != trace.shape:
            found = found or trace
            if at is None:
                return trace
        if at is None:
            return None
        trace, axis = parent, at
    return found


def labels(call: Call) -> Iterator[Found]:
    """Labels out of range, all ignored, padding that counts, and logits that rule the label out."""
    x, y, axis = call.x, call.y, class_axis(call)
    rows = (*x.shape[:axis], *x.shape[axis + 1 :])
    if y.is_floating_point() or tuple(y.shape) != rows or y.numel() == 0 or num_classes(call) == 1:
        return
    y, classes, ignored = y.long(), num_classes(call), ignored_label(call)
    counted = y != ignored
    wrong = counted & ((y < 0) | (y >= classes))
    if bool(wrong.any()):
        label = int(y[wrong][0])
        hint = " — labels that start at 1? use target − 1" if label == classes and int(y[counted].min()) >= 1 else ""
        hint = hint or f" — padding? pass ignore_index={label}" * (label in (255, -1, -100) or label < 0)
        yield Found(
            "label-out-of-range",
            f"a label is {label}, expected 0 … {classes - 1}, or ignore_index ({ignored}){hint}",
        )
    elif not bool(counted.any()) and call.reduction == "mean":
        yield Found(
            "all-targets-ignored",
            f"all {y.numel()} labels are {ignored}, which is ignored: the mean is 0/0 = nan",
        )
    elif call.loss != "linear_cross_entropy" and bool(counted.any()):
        index = torch.where(counted, y, 0).unsqueeze(axis)
        banned = counted & (x.gather(axis, index).squeeze(axis) == -torch.inf)
        if bool(banned.any()):
            yield Found(
                "masked-target-logit",
                f"the logit of the true class is −inf in {int(banned.sum())} of {y.numel()} rows, first for "
                f"class {int(y[banned][0])}: the loss is inf",
            )


def soft(call: Call) -> Iterator[Found]:
    """Class probabilities that are none."""
    x, y, axis = call.x, call.y, class_axis(call)
    if not y.is_floating_point() or y.shape != x.shape or y.numel() == 0 or x.shape[axis] < 2:
        return
    ones, sums = ones_per_row(y, axis), y.double().sum(axis)
    if ones == 1:
        yield Found(
            "one-hot-target",
            f"the target is one-hot: class indices give the same loss at 1/{x.shape[axis]} of the memory",
            "info",
        )
    elif ones is not None and bool((y >= 0).all()):
        yield Found(
            "multi-hot-target",
            f"the target is {_hot(ones)}: its rows sum to {float(sums.min()):g} … {float(sums.max()):g}, and "
            "cross_entropy lets the labels of a row compete",
        )
    elif bool(((sums - 1).abs() > 1e-2).any()) and not (sums == 0).all():
        negative = ", with negative entries: logits?" if bool((y < 0).any()) else ""
        yield Found(
            "unnormalized-target",
            f"rows of the target sum to {float(sums.min()):.4g} … {float(sums.max()):.4g} instead of 1{negative}",
        )


def _hot(ones: float) -> str:
    return "one-hot" if ones == 1 else f"multi-hot, {ones:.3g} ones a row,"


def swapped(call: Call) -> Iterator[Found]:
    """The target where the input belongs."""
    x, y = call.x, call.y
    if call.loss in ("mse_loss",) or x is y:
        return
    integers = not x.is_floating_point() and y.is_floating_point()
    backwards = not x.requires_grad and y.requires_grad and call.loss != "kl_div"  # of which the reverse is in use
    if integers or backwards:
        yield Found(
            "swapped-arguments",
            f"the first argument ({x.dtype}, {tuple(x.shape)}) is the target and the second ({y.dtype}, "
            f"{tuple(y.shape)}) the prediction: the input comes first",
        )


def binary_target(call: Call) -> Iterator[Found]:
    y = call.y
    if y.numel() and bool((y > 1).any()) and bool((y == y.round()).all()):
        yield Found(
            "class-index-into-bce",
            f"the target of {call.loss} goes up to {float(y.max()):g}: class indices, where 0 … 1 is expected",
        )


def weights(call: Call) -> Iterator[Found]:
    weight, classes = call.weight, num_classes(call)
    if isinstance(weight, Tensor) and weight.shape != (classes,):
        yield Found(
            "class-weight-shape",
            f"weight has shape {tuple(weight.shape)}, expected ({classes},): one number for each of the "
            f"{classes} classes",
        )


def binary_weights(call: Call) -> Iterator[Found]:
    for name in ("weight", "pos_weight"):
        weight = call.arguments.get(name)
        if isinstance(weight, Tensor) and not _broadcasts(weight, call.x):
            yield Found(
                "class-weight-shape",
                f"{name} has shape {tuple(weight.shape)} and the input {tuple(call.x.shape)}: expected one "
                "number for each class",
            )


def _broadcasts(weight: Tensor, x: Tensor) -> bool:
    try:
        return torch.broadcast_shapes(weight.shape, x.shape) == x.shape
    except RuntimeError:
        return False


def smoothing(call: Call) -> Iterator[Found]:
    ε = call.label_smoothing
    if isinstance(ε, (int, float)) and not 0 <= ε <= 1:
        done = "torch ignores it in silence" if ε < 0 else "torch refuses it"
        yield Found("label-smoothing-range", f"label_smoothing is {ε:g}, expected a number in [0, 1]: {done}")


def deprecated(call: Call) -> Iterator[Found]:
    given = [name for name in ("size_average", "reduce") if call.arguments.get(name) is not None]
    if given:
        yield Found("deprecated-reduce", f"{' and '.join(given)} given: use reduction=")
