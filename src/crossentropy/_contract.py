"""Arguments → one frozen LossSpec, or an error that helps.

Everything a caller can get wrong about a loss is found here, in `_tensors` or in `_targets`, before any arithmetic.
Each message names the argument, what came, what was expected and the likely fix. Below, functions take
`(LossTensors, LossSpec)` and trust them.
"""

import functools
import math
import operator
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import torch
from torch import Tensor

from crossentropy import _sharding as sharding
from crossentropy._errors import ArgumentIndexError, ArgumentTypeError, ArgumentValueError, kind_of
from crossentropy._logspace import wide
from crossentropy._loss import KL, Kind, Loss, LossSpec, LossTensors, Mixture, Side, without
from crossentropy._targets import check_labels, check_target, long
from crossentropy._tensors import check_class_weight, check_same_device, check_token_weight, without_negative_bit
from crossentropy._values import readable

if TYPE_CHECKING:
    from torch.nn import LinearCrossEntropyOptions

AnyOptions: TypeAlias = "Options | LinearCrossEntropyOptions | None"
Ignored: TypeAlias = int | Sequence[int]
"""One label whose rows are left out, or several."""

_LARGEST = sys.float_info.max
"""Larger numbers are infinite. (Compared with, because math.isfinite cannot be traced by torch.compile.)"""


BackendName: TypeAlias = Literal["auto", "triton", "reference", "native", "chunked"]


@dataclass(frozen=True)
class Options:
    """How a loss is executed; never what it computes.

    Args:
        backend: "auto", the default, chooses. "chunked" computes the loss and its gradient over pieces of the logits,
            in one pass and in place, by torch's operators. "native" does so by compiled code, on a CPU, "triton" by
            Triton's kernels, on a GPU. "reference" is the plain composition of torch operators that everything else is
            tested against. An explicit choice never falls back: it raises ValueError where it cannot be followed.
        memory_budget: Bytes of workspace for the logits of a linear head. Default: 64 MiB on a CPU; elsewhere those of
            4,096 rows, 512 MB at least, and of the head's gradient in float32 where it takes more than two chunks.
            Less makes smaller pieces, down to one row; the result changes by its rounding at most. Hidden states that
            must be converted (autocast, float16 on a CPU) are copied once on top of it.
        valid_rows: How many rows of a batch have a label that is not ignored, at most: an upper bound that a data
            loader knows. The products of `linear_cross_entropy` against labels then see only so many rows, which are
            gathered on their device; elsewhere it changes nothing, and DTensors are not gathered. If more rows count,
            that is a ValueError where labels can be read, and else the loss and its gradients are nan. Default: all may
            count.

    Raises:
        ValueError: `backend` is not known, or `memory_budget` or `valid_rows` is no number ≥ 1.

    Examples:
        >>> import torch, crossentropy
        >>> logits, target = torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([0])
        >>> crossentropy.functional.cross_entropy(logits, target, options=crossentropy.Options(backend="reference"))
        tensor(0.2395)

    See Also:
        torch.nn.LinearCrossEntropyOptions, which is accepted wherever this is.
    """

    backend: BackendName = "auto"
    memory_budget: int | None = None
    valid_rows: int | None = None

    def __post_init__(self) -> None:
        if self.backend not in get_args(BackendName):
            raise ArgumentValueError(
                f"backend is {self.backend!r}, expected one of {', '.join(map(repr, get_args(BackendName)))}"
            )
        for name, what in (("memory_budget", "bytes"), ("valid_rows", "rows")):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise ArgumentValueError(f"{name} is {value!r}, expected a number of {what} ≥ 1, or None")


_OPTIONS = (Options, *(getattr(torch.nn, name) for name in ("LinearCrossEntropyOptions",) if hasattr(torch.nn, name)))
"""Ours and torch's, which it has since 2.13."""


# --- numbers ------------------------------------------------------------------------------------------------------


def number(name: str, value: object, *, low: float = -_LARGEST, high: float = _LARGEST, above: bool = False) -> float:
    """`value` as a Python number, finite and in [low, high], or in (low, high] with `above`."""
    if isinstance(value, bool) or not isinstance(value, (int, float, Real, torch.SymInt, torch.SymFloat)):
        learned = " — for a learned scale multiply the logits or hidden states by it" if name.endswith("_scale") else ""
        if name == "scale":
            learned = " — for a learned one linear_cross_entropy(scale * normalize(input), normalize(linear_weight), …)"
        raise ArgumentTypeError(f"{name} is {kind_of(value)}, expected a Python number{learned}")
    if not isinstance(value, (torch.SymInt, torch.SymFloat)) and type(value) not in (int, float):
        value = float(value)  # NumPy's numbers and fractions
    if not low <= value <= high or (above and value == low):  # pyright: ignore[reportOperatorIssue]
        limits = f" in [{low:g}, {high:g}]" if high < _LARGEST else ""
        limits = limits or (f" {'>' if above else '≥'} {low:g}" if low > -_LARGEST else "")
        raise ArgumentValueError(f"{name} is {value}, expected a finite number{limits}")
    return value  # pyright: ignore[reportReturnType]


def check_representable(dtype: torch.dtype, **numbers: float | None) -> None:
    """Numbers, given by their names, are finite in the accumulation dtype too."""
    if torch.compiler.is_compiling():  # they may vary there, and nan says that they were infinite
        return
    most = torch.finfo(dtype).max
    for name, value in numbers.items():
        if value is not None and abs(value) > most:
            raise ArgumentValueError(
                f"{name.replace('_over_', ' / ')} is {value:g}, expected at most {most:.4g} in size: "
                f"the loss is computed in {dtype}, where it would be infinite"
            )


def smoothing(label_smoothing: object) -> float:
    """Label smoothing, a number in [0, 1] or, as torch allows, a tensor of one."""
    if isinstance(label_smoothing, Tensor) and label_smoothing.dim() == 0 and not label_smoothing.requires_grad:
        label_smoothing = label_smoothing.item()
    return number("label_smoothing", label_smoothing, low=0.0, high=1.0)


def cap(name: str, softcap: object) -> float | None:
    """A softcap > 0, or None."""
    return None if softcap is None else number(name, softcap, low=0.0, above=True)


def check_denominator(denominator: object, reduction: str, dtype: torch.dtype, *, wait: bool = False) -> None:
    """An explicit normaliser is one number ≥ 0, for reduction "mean"."""
    if denominator is None:
        return
    if reduction != "mean":
        raise ArgumentValueError(f"denominator divides the 'mean', and reduction is {reduction!r}: leave one out")
    if isinstance(denominator, Tensor):
        if denominator.numel() != 1 or denominator.is_complex():
            raise ArgumentValueError(f"denominator has shape {tuple(denominator.shape)}, expected a single real number")
        if not readable(denominator, wait=wait):
            return
        denominator = denominator.item()
    if not torch.compiler.is_compiling():  # there it may be a number that only the data will tell
        value, least = number("denominator", denominator, low=0.0), torch.finfo(dtype).smallest_normal
        check_representable(dtype, denominator=value)
        if 0 < value < least:
            raise ArgumentValueError(
                f"denominator is {value:g}, expected 0 or at least {least:.4g}: over less, a loss is infinite in "
                f"{dtype}"
            )


def check_dtype(name: str, dtype: object) -> None:
    """The dtype of a result is a real floating one."""
    if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        known = isinstance(dtype, str) and isinstance(getattr(torch, dtype, None), torch.dtype)
        hint = f" — use torch.{dtype}" if known else ""
        raise ArgumentTypeError(f"{name} is {dtype!r:.60}, expected a floating torch.dtype or None{hint}")


def check_extras(z_loss: object, softcap: object, logit_scale: object, out_dtype: object, options: object) -> None:
    """The settings of a loss module that torch does not have."""
    number("z_loss", z_loss, low=0.0)
    cap("softcap", softcap)
    number("logit_scale", logit_scale)
    check_dtype("out_dtype", out_dtype)
    check_options(options)


def label_to_ignore(ignore_index: object, *, probabilities: bool = False) -> int:
    """ignore_index as an int. It has no meaning for class probabilities."""
    try:
        index = operator.index(ignore_index)  # pyright: ignore[reportArgumentType]
    except TypeError:
        raise ArgumentTypeError(f"ignore_index is {ignore_index!r}, expected an integer") from None
    if not -(2**63) <= index < 2**63:
        raise ArgumentValueError(f"ignore_index is {index}, expected a label: an integer of 64 bits")
    if probabilities and index >= 0:
        raise ArgumentValueError(
            f"ignore_index is {index}, and class probabilities have no index to ignore — give such rows token_weight 0"
        )
    return index


def labels_to_ignore(ignore_index: object, *, probabilities: bool = False) -> list[int]:
    """ignore_index as ints, one at least."""
    if getattr(ignore_index, "ndim", 0):  # a tensor or an array
        raise ArgumentTypeError(
            f"ignore_index is {kind_of(ignore_index)}, expected an int or a list of some: .tolist()"
        )
    if not isinstance(ignore_index, (list, tuple, set, frozenset, range)):
        return [label_to_ignore(ignore_index, probabilities=probabilities)]
    if not ignore_index:
        raise ArgumentValueError(f"ignore_index is {ignore_index!r}, expected one label or several")
    return [label_to_ignore(index, probabilities=probabilities) for index in ignore_index]


def _with_one_label(target: Tensor, label: int, others: Sequence[int]) -> Tensor:
    """The target with one label to ignore instead of several."""
    for other in others:
        target = target.masked_fill(target == other, label)
    return target


def resolve_reduction(reduction: str, size_average: bool | None, reduce: bool | None) -> str:
    """The reduction's name, after torch's deprecated size_average and reduce (with torch's warning)."""
    if size_average is None and reduce is None:
        return reduction
    check_deprecated(size_average, reduce)
    if not torch.compiler.is_compiling():
        return torch.nn.L1Loss(size_average, reduce).reduction
    if reduce is not None and not reduce:  # the same without the warning, which would break the graph
        return "none"
    return "mean" if size_average is None or size_average else "sum"


def check_deprecated(size_average: object, reduce: object) -> None:
    """The deprecated arguments are truth values; what else comes was meant for others."""
    for name, value in (("size_average", size_average), ("reduce", reduce)):
        if value is not None and not isinstance(value, bool):
            raise ArgumentTypeError(
                f"{name} is {value!r:.60}, expected True, False or None: it is torch's deprecated argument, in its "
                "place of old — give what was meant, reduction or ignore_index say, by keyword"
            )


def check_reduction(reduction: object, allowed: tuple[str, ...] = ("none", "mean", "sum")) -> None:
    """The reduction is one of the allowed names."""
    if reduction not in allowed:
        raise ArgumentValueError(f"reduction is {reduction!r}, expected one of {', '.join(map(repr, allowed))}")


def check_options(options: object) -> None:
    """Options are ours or torch's LinearCrossEntropyOptions, whose hints on chunking change no result."""
    if options is not None and not isinstance(options, _OPTIONS):
        raise ArgumentTypeError(f"options is {kind_of(options)}, expected crossentropy.Options or None")


def under_autocast(input: Tensor) -> bool:
    """Whether autocast is enabled for the input's device, so that losses are float32."""
    device = input.device.type
    if torch.compiler.is_compiling():  # of torch 2.10, which cannot trace the question below
        return device != "meta" and torch.is_autocast_enabled(device)
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)


def loss_dtype(input: Tensor, natural: torch.dtype | None = None) -> torch.dtype:
    """The dtype of a loss: its `natural` one, or the input's; under autocast float32, as torch's."""
    natural = natural or input.dtype
    return wide(natural) if under_autocast(input) else natural


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
        out_dtype = loss_dtype(input, natural)
    return wide(natural), out_dtype


# --- all of it ----------------------------------------------------------------------------------------------------


def resolve(
    tensors: LossTensors,
    shape: torch.Size,
    class_dim: int,
    *,
    prefix: str = "",
    classes: int | None = None,
    target_kind: Literal["any", "indices", "none"] = "any",
    reduction: str = "mean",
    ignore_index: Ignored = -100,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    softcap: float | None = None,
    logit_scale: float = 1.0,
    temperature: float = 1.0,
    mixture: Mixture = KL,
    out_dtype: torch.dtype | None = None,
    options: object = None,
) -> tuple[LossTensors, LossSpec]:
    """Checked tensors, with an int64 target, and the spec of a loss over logits of the given shape.

    Where the logits are of a part of the classes, `classes` says how many there are in all; 0, that it is not known
    yet: then nothing is compared with it, and `settled` does so later.
    """
    tensors = _together(tensors._make(map(without_negative_bit, tensors)), shape, class_dim, prefix)
    if classes is None and tensors.linear_weight is None:
        sharding.check_whole("input", tensors.input, class_dim)
    elif classes is None and tensors.linear_weight is not None:
        sharding.check_whole(f"{prefix or 'linear_'}weight", tensors.linear_weight, 0)
    check_reduction(reduction)
    check_dtype("out_dtype", out_dtype)
    check_options(options)
    num_classes = shape[class_dim] if classes is None else classes
    target, probabilities = tensors.target, False
    if shape[class_dim] == 0 and classes is None:
        raise ArgumentIndexError(f"{prefix}input has an empty class axis: shape {tuple(shape)}, axis {class_dim}")
    if num_classes:
        check_class_weight(tensors.weight, num_classes)
    check_token_weight(tensors.token_weight, without(shape, class_dim))
    if target_kind != "none":
        target, probabilities = check_target(shape, class_dim, target, probabilities_allowed=target_kind == "any")
    ignore_index, *more = labels_to_ignore(ignore_index, probabilities=probabilities)
    ignores = False
    if target is not None and not probabilities:
        labels = _with_one_label(long(target), ignore_index, more)
        ignores = not num_classes or check_labels(labels, num_classes, ignore_index, dtype=target.dtype)
        target = labels
    dtype, out_dtype = dtypes(tensors.input, (tensors.linear_weight, target), out_dtype)
    check_denominator(tensors.denominator, reduction, dtype)
    spec = LossSpec(
        class_dim=class_dim,
        num_classes=num_classes,
        probabilities=probabilities,
        dtype=dtype,
        out_dtype=out_dtype,
        ignores=ignores,
        autocast=torch.get_autocast_dtype(tensors.input.device.type) if under_autocast(tensors.input) else None,
        reduction=reduction,
        ignore_index=ignore_index,
        label_smoothing=smoothing(label_smoothing),
        z_loss=number("z_loss", z_loss, low=0.0),
        softcap=cap(f"{prefix}softcap", softcap),
        logit_scale=number(f"{prefix}logit_scale", logit_scale),
        temperature=number("temperature", temperature, low=0.0, above=True),
        mixture=mixture,
    )
    _check_constants(spec, prefix)
    return tensors._replace(target=target), spec


def settled(tensors: LossTensors, spec: LossSpec, num_classes: int) -> LossSpec:
    """The spec of a loss whose number of classes was not known when it was resolved."""
    if num_classes == 0:
        raise ArgumentIndexError("input has no class, on no rank of the group")
    check_class_weight(tensors.weight, num_classes)
    ignores = spec.ignores
    if tensors.target is not None and not spec.probabilities:
        ignores = check_labels(tensors.target, num_classes, spec.ignore_index)
    return replace(spec, num_classes=num_classes, ignores=ignores)


def _check_constants(spec: LossSpec, prefix: str) -> None:
    """The constants of a loss, and those that the logits are multiplied by, are finite in the accumulation dtype."""
    scale, cap, temperature = spec.logit_scale, spec.softcap, spec.temperature
    factors = {"logit_scale_over_temperature": scale / temperature} if temperature != 1.0 else {"logit_scale": scale}
    if cap is not None:
        factors = {
            "softcap": cap,
            "logit_scale_over_softcap": scale / cap,
            "softcap_over_temperature": cap / temperature,
        }
    check_representable(spec.dtype, z_loss=spec.z_loss, **{prefix + name: value for name, value in factors.items()})


def _together(tensors: LossTensors, shape: torch.Size, class_dim: int, prefix: str) -> LossTensors:
    """The tensors, on one device; if one is a DTensor, all of them."""
    given = {field: x for field, x in tensors._asdict().items() if isinstance(x, Tensor)}
    names = {field: prefix + (field.removeprefix("linear_") if prefix else field) for field in given}
    named = {names[field]: x for field, x in given.items()}
    check_same_device(**{name: x for name, x in named.items() if name != "denominator"})
    if not any(map(sharding.is_distributed, named.values())):
        return tensors
    rows, head, denominator = without(shape, class_dim), tensors.linear_weight, tensors.denominator
    whole = {
        "target": (rows, shape),
        "weight": (shape[class_dim : class_dim + 1],),
        "token_weight": (rows,),
        "denominator": (denominator.shape,) if isinstance(denominator, Tensor) else (),
        "linear_bias": () if head is None else (head.shape[:-1],),
    }
    placed = sharding.together(named, {names[field]: whole[field] for field in given if field in whole})
    return tensors._replace(**{field: placed[name] for field, name in names.items()})


def make_loss(
    kind: Kind,
    shape: torch.Size,
    sides: tuple[tuple[LossTensors, LossSpec], ...],
    options: AnyOptions = None,
    absent: Tensor | None = None,
) -> Loss:
    """The loss of resolved tensors and specs, one pair for each side; target and class weights are the first's."""
    dtype = functools.reduce(torch.promote_types, (spec.dtype for _, spec in sides))

    def side(tensors: LossTensors, spec: LossSpec) -> Side:
        spec = spec if spec.dtype is dtype else replace(spec, dtype=dtype)
        return Side(tensors.input, tensors.linear_weight, tensors.linear_bias, spec)

    tensors = sides[0][0]
    return Loss(
        kind,
        tuple(side(*pair) for pair in sides),
        shape,
        tensors.target,
        tensors.weight,
        absent,
        options.memory_budget if isinstance(options, Options) else None,
        _most_rows(options, tensors) if tensors.linear_weight is not None else None,
    )


def backend(options: AnyOptions) -> str:
    """The backend that was asked for."""
    return options.backend if isinstance(options, Options) else "auto"


def valid_rows(options: AnyOptions) -> int | None:
    """How many rows count at most, if that was said."""
    return options.valid_rows if isinstance(options, Options) else None


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
