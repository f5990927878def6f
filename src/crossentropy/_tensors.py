"""Tensors of a loss: their types, dtypes and shapes, or an error that helps."""

import operator
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor

from crossentropy._errors import ArgumentTypeError, ArgumentValueError, kind_of

_T = TypeVar("_T")
INTEGERS = {
    torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16, torch.uint32, torch.uint64,
}  # fmt: skip


def check_tensor(name: str, tensor: object) -> Tensor:
    """`tensor` itself, if it is a tensor with strides."""
    if not isinstance(tensor, Tensor):
        raise ArgumentTypeError(f"{name} is {kind_of(tensor)}, expected a torch.Tensor{_tensor_hint(name, tensor)}")
    if tensor.layout is not torch.strided or tensor.is_nested:
        came, fix = "nested", "pad it, and ignore what was padded"
        if not tensor.is_nested:
            came, fix = str(tensor.layout), f"use {name}.to_dense()"
        raise ArgumentTypeError(f"{name} is {came}, expected a dense tensor — {fix}")
    return tensor


def without_negative_bit(x: _T) -> _T | Tensor:
    """A plain tensor whose memory holds its values: indexing and copies of torch's ignore its negative bit."""
    if type(x) not in (Tensor, torch.nn.Parameter) or torch.compiler.is_compiling():
        return x
    assert isinstance(x, Tensor)
    return x.resolve_neg() if x.is_neg() else x


def _tensor_hint(name: str, thing: object) -> str:
    """How to make a tensor of what came instead."""
    if isinstance(thing, torch.nn.Module):
        if isinstance(getattr(thing, "weight", None), Tensor) and name in ("linear_weight", "teacher_weight"):
            bias = f", {name.partition('_')[0]}_bias=head.bias" if getattr(thing, "bias", None) is not None else ""
            return f" — pass head.weight{bias}"
        return " — pass what the module returns" if name != "weight" else " — class weights are one number a class"
    if isinstance(getattr(thing, "logits", None), Tensor):
        return f" — pass {name}.logits"
    if isinstance(thing, (tuple, list)) and thing and isinstance(thing[0], Tensor):
        return f" — pass one of its tensors, {name}[0] say, or torch.stack({name})"
    if name in ("weight", "token_weight") and isinstance(thing, (int, float, str)):
        setting = " — is it another argument's? pass that by keyword" if name == "weight" else ""
        return f" of one number for each {'class' if name == 'weight' else 'row'}{setting}"
    try:
        made = torch.as_tensor(thing)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return ""
    floating = made.is_floating_point() or name in ("target", "token_weight")
    return f" — use torch.as_tensor({name}{'' if floating else ', dtype=torch.float32'})"


def check_floating(name: str, tensor: object) -> Tensor:
    """`tensor` itself, if it is a tensor of a real floating dtype."""
    tensor = check_tensor(name, tensor)
    if not tensor.is_floating_point():
        hint = f"pass {name}.real or {name}.abs()" if tensor.is_complex() else f"convert with {name}.float()"
        raise ArgumentTypeError(f"{name} has dtype {tensor.dtype}, expected a real floating dtype — {hint}")
    return tensor


def check_same_device(**tensors: object) -> None:
    """All tensors, given by their argument names, are on the device of the first. What is no tensor is left out."""
    (first_name, reference), *others = ((name, t) for name, t in tensors.items() if isinstance(t, Tensor))
    for name, tensor in others:
        if tensor.device != reference.device:
            raise ArgumentValueError(
                f"{name} is on {tensor.device} and {first_name} on {reference.device}: move it with "
                f"{name}.to({first_name}.device)"
            )


def class_axis(input: object, target: object) -> int:
    """The class axis of dense logits: 0 for (C), 1 for (N, C) and (N, C, d1, …, dK)."""
    if (
        isinstance(input, Tensor)
        and isinstance(target, Tensor)
        and input.dtype in INTEGERS
        and target.is_floating_point()
    ):
        raise ArgumentTypeError(
            f"input has dtype {input.dtype} and target {target.dtype}: the arguments look swapped — "
            "the logits come first, then the target"
        )
    rank = check_floating("input", input).dim()
    if rank == 0:
        raise ArgumentValueError("input has no axes, expected logits of shape (C), (N, C) or (N, C, d1, …, dK)")
    return 0 if rank == 1 else 1


def check_linear(
    input: object,
    linear_weight: object,
    linear_bias: object,
    *,
    names: tuple[str, str, str] = ("input", "linear_weight", "linear_bias"),
) -> torch.Size:
    """The shape of the logits of hidden states (…, D) under a head (C, d1, …, dK, D) with a bias (C, d1, …, dK)."""
    if isinstance(linear_weight, Tensor) and linear_weight.dtype in INTEGERS:
        raise ArgumentTypeError(
            f"{names[1]} has dtype {linear_weight.dtype}: the arguments look swapped — the head comes before the target"
        )
    hidden, head = check_floating(names[0], input), check_floating(names[1], linear_weight)
    if hidden.dim() < 1:
        raise ArgumentValueError(f"{names[0]} has no axes, expected (D) or (…, D)")
    if head.dim() < 2:
        raise ArgumentValueError(f"{names[1]} has shape {tuple(head.shape)}, expected (C, D) or (C, d1, …, dK, D)")
    if hidden.shape[-1] != head.shape[-1]:
        raise ArgumentValueError(
            f"{names[0]} has {hidden.shape[-1]} features (its last axis) and {names[1]} {head.shape[-1]}: shapes "
            f"{tuple(hidden.shape)} and {tuple(head.shape)}{_transposed_hint(names[1], hidden, head)}"
        )
    if head.dim() > 2 and hidden.dim() != 2:
        raise ArgumentValueError(
            f"{names[1]} has shape {tuple(head.shape)}, which defines a K-dimensional loss and requires batched "
            f"{names[0]} (N, {head.shape[-1]}), got shape {tuple(hidden.shape)}"
        )
    if linear_bias is not None:
        bias = check_floating(names[2], linear_bias)
        if bias.shape != head.shape[:-1]:
            raise ArgumentValueError(f"{names[2]} has shape {tuple(bias.shape)}, expected {tuple(head.shape[:-1])}")
    return torch.Size((*hidden.shape[:-1], *head.shape[:-1]))


def check_statistics_head(input: Tensor, linear_weight: object, linear_bias: object, dim: int) -> torch.Size:
    """The shape of the logits of a plain (C, D) head, whose classes are the last axis."""
    shape = check_linear(input, linear_weight, linear_bias)
    if not isinstance(linear_weight, Tensor) or linear_weight.dim() != 2:
        raise ArgumentValueError(f"linear_weight has axes {tuple(shape[input.dim() - 1 :])} and D, expected (C, D)")
    if dim not in (-1, input.dim() - 1):
        raise ArgumentValueError(f"dim is {dim}: with linear_weight the classes are the last axis, -1")
    return shape


def check_distillation(student: torch.Size, teacher: torch.Size, head: Tensor) -> None:
    """Student and teacher speak of the same rows and classes, under plain (C, D) heads."""
    if head.dim() != 2:
        raise ArgumentValueError(f"linear_weight has shape {tuple(head.shape)}, expected (C, D)")
    if student != teacher:
        raise ArgumentValueError(
            f"the student's logits would have shape {tuple(student)} and the teacher's {tuple(teacher)}: expected the "
            "same rows and the same classes"
        )


def _transposed_hint(name: str, hidden: Tensor, head: Tensor) -> str:
    """What if the last axis of the hidden states is the first of the head."""
    if head.dim() != 2 or head.shape[0] != hidden.shape[-1]:
        return ""
    logits = "; if input holds the logits already, cross_entropy takes them" if name == "linear_weight" else ""
    return f" — the head is (C, D): use {name}.T{logits}"


def check_class_weight(weight: object, num_classes: int) -> None:
    """Class weights are one floating number per class."""
    if weight is None:
        return
    if isinstance(weight, Tensor) and weight.dtype in INTEGERS and weight.shape != (num_classes,):
        raise ArgumentTypeError(
            f"weight has dtype {weight.dtype} and shape {tuple(weight.shape)}, expected ({num_classes},): one number "
            "for each class. Labels? They are the target; with hidden states and a head use linear_cross_entropy"
        )
    tensor = check_floating("weight", weight)
    if tensor.shape != (num_classes,):
        head = " — a head? linear_cross_entropy takes it" if tensor.dim() == 2 and len(tensor) > 1 else ""
        raise ArgumentValueError(
            f"weight has shape {tuple(tensor.shape)}, expected ({num_classes},): one number for each of the "
            f"{num_classes} classes{head}"
        )


def check_element_weights(shape: torch.Size, weight: object, pos_weight: object, token_weight: object) -> None:
    """Weights of the elements of a binary loss are real numbers that broadcast to its shape."""
    for name, given in (("weight", weight), ("pos_weight", pos_weight), ("token_weight", token_weight)):
        if given is None:
            continue
        tensor = check_tensor(name, given)
        if tensor.is_complex():
            raise ArgumentTypeError(f"{name} has dtype {tensor.dtype}, expected real numbers")
        fits = tensor.dim() <= len(shape) and all(a in (1, b) for a, b in zip(reversed(tensor.shape), reversed(shape)))
        if not fits:
            raise ArgumentValueError(
                f"{name} has shape {tuple(tensor.shape)}, expected one that broadcasts to the input's, {tuple(shape)}"
                f"{_axes_hint(name, tuple(tensor.shape), tuple(shape))}"
            )
        if name == "token_weight" and tensor.dim() != len(shape):  # rows or classes? where both fit, it is a guess
            raise ArgumentValueError(
                f"token_weight has shape {tuple(tensor.shape)}, expected the input's, {tuple(shape)}, or axes of size 1"
                f"{_axes_hint(name, tuple(tensor.shape), tuple(shape))}"
            )


def check_setting_of_elements(**weights: object) -> None:
    """What a module is given as weights of elements may be: their shape is not known yet."""
    for name, weight in weights.items():
        if weight is not None and check_tensor(name, weight).is_complex():
            raise ArgumentTypeError(f"{name} is complex, expected real numbers")


def _axes_hint(name: str, given: tuple[int, ...], shape: tuple[int, ...]) -> str:
    """What to do with a weight of the first axes of a shape, or of its second."""
    if given and given == shape[: len(given)]:
        return f" — for rows use {name}[{', '.join([':'] * len(given) + ['None'] * (len(shape) - len(given)))}]"
    if len(given) == 1 and len(shape) > 2 and given[0] == shape[1]:
        return f" — for classes, on axis 1, use {name}.reshape(-1{', 1' * (len(shape) - 2)})"
    return ""


def check_setting_of_weight(weight: object) -> None:
    """What a module is given as class weights may be: the classes are not known yet."""
    if weight is None:
        return
    shape = tuple(check_floating("weight", weight).shape)
    if len(shape) != 1:
        raise ArgumentValueError(
            f"weight has shape {shape}, expected one number for each class — a loss is made first and called then: "
            "loss = CrossEntropyLoss(); loss(input, target)"
        )


def check_sizes(in_features: object, num_classes: object, out_features: object) -> None:
    """The sizes of a head are whole numbers ≥ 1."""
    if not isinstance(out_features, Sequence):
        raise ArgumentTypeError(
            f"out_features is {out_features!r}, expected a tuple (d1, …, dK) — the classes are num_classes"
        )
    sizes = [("in_features", in_features), ("num_classes", num_classes), *(("out_features", d) for d in out_features)]
    for name, size in sizes:
        if isinstance(size, bool) or not hasattr(size, "__index__") or operator.index(size) < 1:  # pyright: ignore[reportArgumentType]
            raise ArgumentValueError(f"{name} is {size!r}, expected a whole number ≥ 1")


def check_token_weight(token_weight: object, rows: torch.Size) -> None:
    """Row weights are one real number per row."""
    if token_weight is None:
        return
    tensor = check_tensor("token_weight", token_weight)
    if tensor.is_complex():
        raise ArgumentTypeError(f"token_weight has dtype {tensor.dtype}, expected real numbers")
    if tensor.shape != rows:
        raise ArgumentValueError(
            f"token_weight has shape {tuple(tensor.shape)}, expected {tuple(rows)}: one number for each row"
        )
