"""The engine's words: what a loss is, below the line where its arguments were checked.

    LossTensors    the tensors of one call, by torch's argument names
    LossSpec       everything about a loss that is no tensor
    Mixture        which divergence of two distributions
    Side           where logits come from: tensors, and the spec that says what is done to them
    Loss           rows to compute from the logits of its sides, before any reduction
    Result         what is computed of it: the rows, and gradients of a weighted sum of them
    Collector      where a gradient of hidden states is collected that is a part of a sum over processes

A loss can be taken apart into its tensors, which autograd must see, and the loss without them.
"""

import functools
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

Kind: TypeAlias = Literal["cross_entropy", "nll", "statistics", "divergence"]


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


class Mixture(NamedTuple):
    """A divergence of teacher p and student q from their mixture m = λ p + μ q, λ + μ = 1: a KL(p‖m) + b KL(q‖m).

    Where λ is 0 it is KL(p‖q), and where μ is 0 KL(q‖p): one term, of weight 1. See `mixes`.
    """

    teacher: float = 1.0
    """a."""
    student: float = 0.0
    """b."""
    teacher_share: float = 0.0
    """λ."""
    student_share: float = 1.0
    """μ, which 1 − λ would not be if it is tiny."""


KL = Mixture()
"""KL(p‖q)."""


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
    mixture: Mixture = KL
    """Of a divergence; that of the first side decides."""
    ignores: bool = True
    """Whether a label may be outside [0, C): ignored or, where labels were not read, out of range."""
    masked: bool = False
    """Whether a logit of −inf is no class under any scale and softcap."""
    autocast: torch.dtype | None = None
    """The dtype of products under autocast."""
    reduction: str = "mean"
    out_dtype: torch.dtype = torch.float32
    """The dtype of the result."""


class Side(NamedTuple):
    """Where logits come from: they are given, or a head makes them."""

    input: Tensor
    weight: Tensor | None
    bias: Tensor | None
    spec: LossSpec


class Loss(NamedTuple):
    """One loss for a backend. It has one side; a distillation has two, student and teacher."""

    kind: Kind
    sides: tuple[Side, ...]
    shape: torch.Size
    """That of the logits."""
    target: Tensor | None = None
    weight: Tensor | None = None
    absent: Tensor | None = None
    """Classes that a head has and a row has not: their indices (…, k), int64, −1 for none; or a mask (…, C)."""
    budget: int | None = None
    """Bytes of workspace."""
    most_rows: int | None = None
    """Upper bound of a chunk."""


class Result(NamedTuple):
    """What a backend computes of a loss."""

    rows: Tensor
    """(K, rows): the loss of each row, or its K statistics, in the accumulation dtype; 0 in ignored rows."""
    argmax: Tensor | None
    """The rows' argmax, for statistics."""
    gradients: tuple[Tensor | None, ...]
    """Of Σ coefficient · rows, for input, head and bias of each side; None where not wanted."""


class Collector(NamedTuple):
    """Where the gradient of hidden states is collected, and who is told of it; it is a part of a sum over processes."""

    buffer: Tensor
    """(N, D), as wide as the sum is to be."""
    filled: Callable[[int], None]
    """Told of each row up to which the gradient is there."""


# functions, because torch 2.10 compiles no property of a loss


def mixes(mixture: Mixture) -> bool:
    """Whether both distributions have a part in it."""
    return mixture.teacher_share != 0 and mixture.student_share != 0


def moves_absent(spec: LossSpec) -> bool:
    """Whether scale and cap make another number of the −inf of a class that is masked."""
    return spec.masked and (spec.softcap is not None or spec.logit_scale <= 0)


def without(shape: Sequence[int], class_dim: int) -> torch.Size:
    """The rows' shape: the logits' without the class axis."""
    return torch.Size((*shape[:class_dim], *shape[class_dim + 1 :]))


def rows_shape(loss: Loss) -> torch.Size:
    """The shape of a loss's rows."""
    return without(loss.shape, loss.sides[0].spec.class_dim)


FIXED = 3
"""How many tensors of a loss come before those of its sides, which are what has gradients."""


def tensors_of(loss: Loss) -> tuple[Tensor | None, ...]:
    """Target, class weights and absent classes, and then input, head and bias of each side."""
    tensors: list[Tensor | None] = [loss.target, loss.weight, loss.absent]
    for side in loss.sides:
        tensors += side[:3]
    return tuple(tensors)


def with_tensors(loss: Loss, tensors: Sequence[Tensor | None]) -> Loss:
    """The loss of other tensors, in the order of `tensors_of`."""
    target, weight, absent, *slots = tensors
    of_sides = zip(slots[::3], slots[1::3], slots[2::3])
    sides = tuple([Side(*some, side.spec) for some, side in zip(of_sides, loss.sides)])  # pyright: ignore[reportArgumentType]
    return loss._replace(sides=sides, target=target, weight=weight, absent=absent)


def without_tensors(loss: Loss) -> Loss:
    """What is left of a loss whose tensors are kept elsewhere; `with_tensors` completes it."""
    return with_tensors(loss, (None,) * (FIXED + 3 * len(loss.sides)))


def product_dtype(side: Side) -> torch.dtype:
    """The dtype in which a head is multiplied: autocast's, or the promoted one; float32 where a CPU lacks products."""
    assert side.weight is not None
    dtype = torch.promote_types(side.input.dtype, side.weight.dtype)
    if side.spec.autocast is not None and dtype != torch.float64:
        dtype = side.spec.autocast
    return dtype if side.input.device.type != "cpu" or cpu_multiplies(dtype) else torch.float32


@functools.cache
def cpu_multiplies(dtype: torch.dtype) -> bool:
    """Whether this CPU has products in a dtype; others take many times longer than in float32, and are less accurate.

    No CPU has those of float16. bfloat16 (128, 768) × (768, 8000), in GFLOP/s of one core: 384 with AVX512_BF16, 85
    and 4 where oneDNN is kept to AVX-512 and AVX2; float32 97. On other processors torch knows best.
    """
    if dtype == torch.bfloat16 and platform.machine().lower() in ("x86_64", "amd64"):
        return torch.backends.cpu.get_cpu_capability() == "AVX512"
    return dtype != torch.float16
