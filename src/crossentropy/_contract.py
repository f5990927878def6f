"""Arguments → one frozen LossSpec, or an error that helps.

Everything a caller can get wrong about a loss is found here, before any arithmetic: each message names the argument,
what came, what was expected and the likely fix. Below, functions take `(LossTensors, LossSpec)` and trust them.
"""

import functools
import math
import operator
import sys
from dataclasses import dataclass, replace
from numbers import Real
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

from crossentropy._errors import ArgumentIndexError, ArgumentTypeError, ArgumentValueError
from crossentropy._logspace import wide
from crossentropy._values import check_probabilities, first, position, readable

if TYPE_CHECKING:
    from torch.nn import LinearCrossEntropyOptions

AnyOptions: TypeAlias = "Options | LinearCrossEntropyOptions | None"

INTEGERS = {
    torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16, torch.uint32, torch.uint64,
}  # fmt: skip


_LARGEST = sys.float_info.max
"""Larger numbers are infinite. (Compared with, because math.isfinite cannot be traced by torch.compile.)"""


@dataclass(frozen=True)
class Options:
    """How a loss is executed; never what it computes.

    Args:
        backend: "auto" chooses. "chunked" computes the loss and its gradient over pieces of the logits, in one pass and
            in place. "reference" is the plain composition of torch operators that everything else is tested against.
            An explicit choice never falls back: it raises ValueError where it cannot be followed.
        memory_budget: Bytes of workspace for the logits of a linear head. Default: 64 MB on a CPU, 512 MB elsewhere.
            Less makes smaller pieces, down to one row; the result changes by its rounding at most. Hidden states that
            must be converted (autocast, float16 on a CPU) are copied once on top of it.

    Raises:
        ValueError: `backend` is not known, or `memory_budget` is no number of bytes.

    Examples:
        >>> import torch, crossentropy
        >>> logits, target = torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([0])
        >>> crossentropy.functional.cross_entropy(logits, target, options=crossentropy.Options(backend="reference"))
        tensor(0.2395)

    See Also:
        torch.nn.LinearCrossEntropyOptions, which is accepted wherever this is.
    """

    backend: Literal["auto", "reference", "chunked"] = "auto"
    memory_budget: int | None = None

    def __post_init__(self) -> None:
        if self.backend not in ("auto", "reference", "chunked"):
            raise ArgumentValueError(f"backend is {self.backend!r}, expected 'auto', 'reference' or 'chunked'")
        budget = self.memory_budget
        if budget is not None and (isinstance(budget, bool) or not isinstance(budget, int) or budget < 1):
            raise ArgumentValueError(f"memory_budget is {budget!r}, expected a number of bytes ≥ 1, or None")


_OPTIONS = (Options, *(getattr(torch.nn, name) for name in ("LinearCrossEntropyOptions",) if hasattr(torch.nn, name)))
"""Ours and torch's, which it has since 2.12."""


class LossTensors(NamedTuple):
    """The tensors of one loss. Shapes: rows are (), (N,), (N, d1, …, dK) or any leading axes of a linear input."""

    input: Tensor
    """Logits, log-probabilities or, with linear_weight, hidden states (…, D)."""
    target: Tensor | None = None
    """int64 class indices in the rows' shape, or class probabilities in the logits' shape."""
    weight: Tensor | None = None
    """Class weights (C,)."""
    token_weight: Tensor | None = None
    """Row weights in the rows' shape."""
    denominator: Tensor | float | None = None
    """What "mean" divides by."""
    linear_weight: Tensor | None = None
    """Head (C, D) or (C, d1, …, dK, D)."""
    linear_bias: Tensor | None = None
    """Bias (C,) or (C, d1, …, dK)."""


class Side(NamedTuple):
    """Where logits come from: they are given, or a head makes them. A loss has one side; a distillation has two."""

    input: Tensor
    weight: Tensor | None
    bias: Tensor | None
    spec: "LossSpec"
    autocast: torch.dtype | None = None
    """The dtype of products under autocast."""


class Loss(NamedTuple):
    """One loss for a backend: rows to compute from the logits of its sides, before any reduction."""

    kind: Literal["cross_entropy", "nll", "statistics", "divergence"]
    sides: tuple[Side, ...]
    shape: torch.Size
    """That of the logits."""
    target: Tensor | None = None
    weight: Tensor | None = None
    budget: int | None = None
    """Bytes of workspace."""
    most_rows: int | None = None
    """Upper bound of a chunk."""


@dataclass(frozen=True)
class LossSpec:
    """Everything about one loss that is not a tensor."""

    class_dim: int
    num_classes: int
    probabilities: bool
    """Whether the target holds class probabilities rather than class indices."""
    dtype: torch.dtype
    """The dtype of logits, sums, normalisers and losses until the one rounding of the result."""
    ignore_index: int = -100
    label_smoothing: float = 0.0
    z_loss: float = 0.0
    softcap: float | None = None
    logit_scale: float = 1.0
    temperature: float = 1.0
    ignores: bool = True
    """Whether a label may be outside [0, C): ignored or, where labels were not read, out of range."""
    reduction: str = "mean"
    out_dtype: torch.dtype = torch.float32
    """The dtype of the result."""


# --- tensors ------------------------------------------------------------------------------------------------------


def check_floating(name: str, tensor: object) -> Tensor:
    """`tensor` itself, if it is a tensor of a real floating dtype."""
    if not isinstance(tensor, Tensor):
        convert = f" — use torch.as_tensor({name})" if hasattr(tensor, "__array__") else ""
        raise ArgumentTypeError(f"{name} is a {type(tensor).__name__}, expected a torch.Tensor{convert}")
    if not tensor.is_floating_point():
        raise ArgumentTypeError(
            f"{name} has dtype {tensor.dtype}, expected a real floating dtype — convert with {name}.float()"
        )
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
    return f" — the head is (C, D): use {name}.T" if head.dim() == 2 and head.shape[0] == hidden.shape[-1] else ""


def check_target(
    shape: torch.Size, class_dim: int, target: object, *, probabilities_allowed: bool
) -> tuple[Tensor, bool]:
    """The target, and whether it holds class probabilities (else indices), for logits of the given shape."""
    if not isinstance(target, Tensor):
        raise ArgumentTypeError(f"target is a {type(target).__name__}, expected a torch.Tensor")
    rows = without(shape, class_dim)
    if target.shape == shape and probabilities_allowed:
        if target.is_floating_point():
            return target, True
        raise ArgumentTypeError(
            f"target has dtype {target.dtype} and the shape of the logits, {tuple(shape)}. "
            f"{'A one-hot target' if target.dtype != torch.bool else 'A mask of classes'}: pass class indices, "
            f"target.{'int().' if target.dtype == torch.bool else ''}argmax({class_dim}), "
            "or class probabilities, target.to(input.dtype)"
        )
    if target.shape != rows:
        raise ArgumentValueError(_shape_message(shape, class_dim, target, probabilities_allowed))
    if target.dtype not in INTEGERS:
        raise ArgumentTypeError(
            f"target has dtype {target.dtype} and shape {tuple(target.shape)}: class indices are integers — "
            "convert with target.long(), or pass class probabilities of shape " + str(tuple(shape))
        )
    return target, False


def without(shape: torch.Size, class_dim: int) -> torch.Size:
    """The rows' shape: the logits' without the class axis."""
    return torch.Size((*shape[:class_dim], *shape[class_dim + 1 :]))


def rows_shape(loss: Loss) -> torch.Size:
    """The shape of a loss's rows; a function, because torch 2.10 compiles no property of the loss."""
    return without(loss.shape, loss.sides[0].spec.class_dim)


def _shape_message(shape: torch.Size, class_dim: int, target: Tensor, probabilities_allowed: bool) -> str:
    rows, got = tuple(without(shape, class_dim)), tuple(target.shape)
    probabilities = f" (class indices) or {tuple(shape)} (class probabilities)" if probabilities_allowed else ""
    message = f"target has shape {got}, expected {rows}{probabilities} for logits of shape {tuple(shape)}"
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
    if rows and got and rows[0] != got[0] and rows[1:] == got[1:]:
        return f"Expected input batch_size ({rows[0]}) to match target batch_size ({got[0]})"
    return ""


def check_class_weight(weight: object, num_classes: int) -> None:
    """Class weights are one floating number per class."""
    if weight is None:
        return
    tensor = check_floating("weight", weight)
    if tensor.shape != (num_classes,):
        raise ArgumentValueError(
            f"weight has shape {tuple(tensor.shape)}, expected ({num_classes},): one number for each of the "
            f"{num_classes} classes"
        )


def check_token_weight(token_weight: object, rows: torch.Size) -> None:
    """Row weights are one real number per row."""
    if token_weight is None:
        return
    if not isinstance(token_weight, Tensor) or token_weight.is_complex():
        raise ArgumentTypeError(f"token_weight is a {type(token_weight).__name__}, expected a real torch.Tensor")
    if token_weight.shape != rows:
        raise ArgumentValueError(
            f"token_weight has shape {tuple(token_weight.shape)}, expected {tuple(rows)}: one number for each row"
        )


def check_denominator(denominator: object, reduction: str) -> None:
    """An explicit normaliser is one number ≥ 0, for reduction "mean"."""
    if denominator is None:
        return
    if reduction != "mean":
        raise ArgumentValueError(f"denominator divides the 'mean', and reduction is {reduction!r}: leave one out")
    if isinstance(denominator, Tensor):
        if denominator.numel() != 1 or denominator.is_complex():
            raise ArgumentValueError(f"denominator has shape {tuple(denominator.shape)}, expected a single real number")
        if not readable(denominator):
            return
        denominator = denominator.item()
    if not torch.compiler.is_compiling():  # there it may be a number that only the data will tell
        number("denominator", denominator, low=0.0)


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
    offence = first(((target < 0) | (target >= num_classes)) & (target != ignore_index))
    if offence is None:
        return True
    label = int(target[offence].item())
    if label == num_classes:
        hint = " — labels that start at 1? use target - 1"
    elif label < 0 or label == 255:
        hint = f" — padding? pass ignore_index={label}"
    else:
        hint = ""
    raise ArgumentIndexError(
        f"target{position(offence)} is {label}, expected a class in [0, {num_classes}) or ignore_index "
        f"({ignore_index}){hint}"
    )


# --- numbers ------------------------------------------------------------------------------------------------------


def number(name: str, value: object, *, low: float = -_LARGEST, high: float = _LARGEST, above: bool = False) -> float:
    """`value` as a Python number, finite and in [low, high], or in (low, high] with `above`."""
    if isinstance(value, bool) or not isinstance(value, (int, float, Real, torch.SymInt, torch.SymFloat)):
        learned = " — for a learned scale multiply the logits or hidden states by it" if "scale" in name else ""
        raise ArgumentTypeError(f"{name} is a {type(value).__name__}, expected a Python number{learned}")
    if not isinstance(value, (torch.SymInt, torch.SymFloat)) and type(value) not in (int, float):
        value = float(value)  # NumPy's numbers and fractions
    if not low <= value <= high or (above and value == low):  # pyright: ignore[reportOperatorIssue]
        limits = f" in [{low:g}, {high:g}]" if high < _LARGEST else ""
        limits = limits or (f" {'>' if above else '≥'} {low:g}" if low > -_LARGEST else "")
        raise ArgumentValueError(f"{name} is {value}, expected a finite number{limits}")
    return value  # pyright: ignore[reportReturnType]


def smoothing(label_smoothing: object) -> float:
    """Label smoothing, a number in [0, 1] or, as torch allows, a tensor of one."""
    if isinstance(label_smoothing, Tensor) and label_smoothing.dim() == 0 and not label_smoothing.requires_grad:
        label_smoothing = label_smoothing.item()
    return number("label_smoothing", label_smoothing, low=0.0, high=1.0)


def cap(name: str, softcap: object) -> float | None:
    """A softcap > 0, or None."""
    return None if softcap is None else number(name, softcap, low=0.0, above=True)


def check_out_dtype(out_dtype: object) -> None:
    """The dtype of a loss is a real floating one."""
    if out_dtype is not None and not (isinstance(out_dtype, torch.dtype) and out_dtype.is_floating_point):
        raise ArgumentTypeError(f"out_dtype is {out_dtype!r}, expected a floating torch.dtype or None")


def check_extras(z_loss: object, softcap: object, logit_scale: object, out_dtype: object, options: object) -> None:
    """The settings of a loss module that torch does not have."""
    number("z_loss", z_loss, low=0.0)
    cap("softcap", softcap)
    number("logit_scale", logit_scale)
    check_out_dtype(out_dtype)
    check_options(options)


def label_to_ignore(ignore_index: object, *, probabilities: bool = False) -> int:
    """ignore_index as an int. It has no meaning for class probabilities."""
    try:
        index = operator.index(ignore_index)  # pyright: ignore[reportArgumentType]
    except TypeError:
        raise ArgumentTypeError(f"ignore_index is {ignore_index!r}, expected an integer") from None
    if probabilities and index >= 0:
        raise ArgumentValueError(
            f"ignore_index is {index}, and class probabilities have no index to ignore — give such rows token_weight 0"
        )
    return index


def resolve_reduction(reduction: str, size_average: bool | None, reduce: bool | None) -> str:
    """The reduction's name, after torch's deprecated size_average and reduce (with torch's warning)."""
    if size_average is None and reduce is None:
        return reduction
    if not torch.compiler.is_compiling():
        return torch.nn.L1Loss(size_average, reduce).reduction
    if reduce is not None and not reduce:  # the same without the warning, which would break the graph
        return "none"
    return "mean" if size_average is None or size_average else "sum"


def check_reduction(reduction: object, allowed: tuple[str, ...] = ("none", "mean", "sum")) -> None:
    """The reduction is one of the allowed names."""
    if reduction not in allowed:
        raise ArgumentValueError(f"reduction is {reduction!r}, expected one of {', '.join(map(repr, allowed))}")


def check_options(options: object) -> None:
    """Options are ours or torch's LinearCrossEntropyOptions, whose hints on chunking change no result."""
    if options is not None and not isinstance(options, _OPTIONS):
        raise ArgumentTypeError(f"options is a {type(options).__name__}, expected crossentropy.Options or None")


def under_autocast(input: Tensor) -> bool:
    """Whether autocast is enabled for the input's device, so that losses are float32."""
    device = input.device.type
    if torch.compiler.is_compiling():  # of torch 2.10, which cannot trace the question below
        return device != "meta" and torch.is_autocast_enabled(device)
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)


def dtypes(
    input: Tensor, others: tuple[Tensor | None, ...], out_dtype: torch.dtype | None
) -> tuple[torch.dtype, torch.dtype]:
    """The accumulation and the result dtype of a loss.

    The result has the promoted dtype of `input` and the `others`, or float32 under autocast, as torch's loss has; sums
    are accumulated in float32 or wider.
    """
    natural = input.dtype
    for other in others:
        if other is not None and other.is_floating_point():
            natural = torch.promote_types(natural, other.dtype)
    if out_dtype is None:
        out_dtype = wide(natural) if under_autocast(input) else natural
    return wide(natural), out_dtype


# --- all of it ----------------------------------------------------------------------------------------------------


def resolve(
    tensors: LossTensors,
    shape: torch.Size,
    class_dim: int,
    *,
    prefix: str = "",
    target_kind: Literal["any", "indices", "none"] = "any",
    reduction: str = "mean",
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    softcap: float | None = None,
    logit_scale: float = 1.0,
    temperature: float = 1.0,
    out_dtype: torch.dtype | None = None,
    options: object = None,
) -> tuple[LossTensors, LossSpec]:
    """Checked tensors, with an int64 target, and the spec of a loss over logits of the given shape."""
    named = tensors._replace(denominator=None)._asdict().items()
    check_same_device(**{prefix + (name.removeprefix("linear_") if prefix else name): t for name, t in named})
    check_reduction(reduction)
    check_out_dtype(out_dtype)
    check_options(options)
    num_classes, target, probabilities = shape[class_dim], tensors.target, False
    if num_classes == 0:
        raise ArgumentIndexError(f"{prefix}input has an empty class axis: shape {tuple(shape)}, axis {class_dim}")
    check_class_weight(tensors.weight, num_classes)
    check_token_weight(tensors.token_weight, without(shape, class_dim))
    check_denominator(tensors.denominator, reduction)
    if target_kind != "none":
        target, probabilities = check_target(shape, class_dim, target, probabilities_allowed=target_kind == "any")
    ignore_index = label_to_ignore(ignore_index, probabilities=probabilities)
    ignores = False
    if target is not None and not probabilities:
        target = long(target)
        ignores = check_labels(target, num_classes, ignore_index)
    dtype, out_dtype = dtypes(tensors.input, (tensors.linear_weight, target), out_dtype)
    spec = LossSpec(
        class_dim=class_dim,
        num_classes=num_classes,
        probabilities=probabilities,
        dtype=dtype,
        out_dtype=out_dtype,
        ignores=ignores,
        reduction=reduction,
        ignore_index=ignore_index,
        label_smoothing=smoothing(label_smoothing),
        z_loss=number("z_loss", z_loss, low=0.0),
        softcap=cap(f"{prefix}softcap", softcap),
        logit_scale=number(f"{prefix}logit_scale", logit_scale),
        temperature=number("temperature", temperature, low=0.0, above=True),
    )
    return tensors._replace(target=target), spec


def make_loss(
    kind: Literal["cross_entropy", "nll", "statistics", "divergence"],
    shape: torch.Size,
    sides: "tuple[tuple[LossTensors, LossSpec], ...]",
    options: AnyOptions = None,
) -> Loss:
    """The loss of resolved tensors and specs, one pair for each side; target and class weights are the first's."""
    dtype = functools.reduce(torch.promote_types, (spec.dtype for _, spec in sides))

    def side(tensors: LossTensors, spec: LossSpec) -> Side:
        x = tensors.input
        autocast = torch.get_autocast_dtype(x.device.type) if under_autocast(x) else None
        return Side(x, tensors.linear_weight, tensors.linear_bias, replace(spec, dtype=dtype), autocast)

    tensors = sides[0][0]
    return Loss(
        kind,
        tuple(side(*pair) for pair in sides),
        shape,
        tensors.target,
        tensors.weight,
        options.memory_budget if isinstance(options, Options) else None,
        _most_rows(options, tensors) if tensors.linear_weight is not None else None,
    )


def backend(options: AnyOptions) -> str:
    """The backend that was asked for."""
    return options.backend if isinstance(options, Options) else "auto"


def _most_rows(options: AnyOptions, tensors: LossTensors) -> int | None:
    """The chunk size that torch's options ask for, which is an upper bound of ours; None if they leave it open."""
    if options is None or isinstance(options, Options):
        return None
    method = options.chunking_method
    if options.batch_chunk_size is not None or method in (None, "auto"):
        return options.batch_chunk_size
    assert tensors.linear_weight is not None
    ratio = -(-math.prod(tensors.linear_weight.shape[:-1]) // max(tensors.linear_weight.shape[-1], 1))
    rows = max(1, -(-math.prod(tensors.input.shape[:-1]) // max(ratio, 1)))
    return max(1, (1 << (rows - 1).bit_length()) // int(method.partition(":")[2] or 1))


# --- values, only when asked (validate=True) ----------------------------------------------------------------------


def validate_target(
    target: Tensor, shape: torch.Size, class_dim: int, ignore_index: int, token_weight: Tensor | None = None
) -> None:
    """Class probabilities are distributions and class indices are in range, even if a device must be waited for."""
    if not readable(target, wait=True):
        return
    if target.shape != shape:
        check_labels(long(target), shape[class_dim], ignore_index, wait=True)
        return
    p = target.detach()
    if token_weight is not None:
        p = _filled(p, token_weight == 0, class_dim)
    check_probabilities("target", p, class_dim, hint="divide each row by its sum")


def validate_log_probabilities(input: Tensor, target: Tensor, class_dim: int, ignore_index: int) -> None:
    """Rows that are not ignored are logarithms of distributions."""
    if not readable(input, target, wait=True):
        return
    p = _filled(input.detach().exp(), long(target) == ignore_index, class_dim)
    check_probabilities("exp(input)", p, class_dim, hint="input must be log-probabilities: apply log_softmax to logits")


def _filled(p: Tensor, rows: Tensor, class_dim: int) -> Tensor:
    """Probabilities p with the uniform distribution in rows that are not to be checked."""
    return p.masked_fill(rows.unsqueeze(class_dim), 1 / p.shape[class_dim])


def validate_range(name: str, tensor: Tensor, low: float, high: float, what: str, hint: str) -> None:
    """Every entry is in [low, high], up to rounding."""
    if not readable(tensor, wait=True):
        return
    slack = 4 * torch.finfo(tensor.dtype).eps
    offence = first(~((tensor >= low - slack) & (tensor <= high + slack)))
    if offence is not None:
        value = tensor[offence].item()
        raise ArgumentValueError(
            f"{name}{position(offence)} is {value:.6g}, expected {what} in [{low:g}, {high:g}] — {hint}"
        )
