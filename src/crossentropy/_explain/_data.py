"""What an explanation is made of: steps of tensors, formulae and words. Renderers take nothing but this.

    Computation   steps, the value they lead to, torch's own result beside it, and landmarks to judge it by
    Step          one tensor of the computation: a matrix (rows, classes), one number a row, or one number
    Numbers       a formula with numbers put in, each of which is an entry of some step's tensor

Of a big input some rows are shown, and in each row some classes; `Shown` says which, and `Step.rest` what the others
amount to together.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import torch
from torch import Tensor

from crossentropy._languages import Language

if TYPE_CHECKING:
    from crossentropy.information import Unit


def number(x: float, *, signed: bool = False) -> str:
    """A number as every renderer writes it: four decimals, integers without, and powers of ten where those fail."""
    if math.isnan(x):
        return "nan"
    size = abs(x)
    if math.isinf(x):
        text = "inf"
    elif size == int(size) and size < 1e5:
        text = str(int(size))
    elif 1e-3 <= size < 1e5:
        text = f"{size:.4f}"
    else:
        mantissa, _, exponent = f"{size:.3e}".partition("e")
        text = f"{mantissa}e{int(exponent)}".replace("-", "−")
    return ("−" if x < 0 else "+" if signed else "") + text


class Ref(NamedTuple):
    """An entry of a step's tensor, inside a formula."""

    step: str
    value: float
    row: int | None = None
    """Counted among the rows that are shown."""
    column: int | None = None
    """Counted among the classes that are shown; −1 is what the others amount to."""
    signed: bool = False

    def __str__(self) -> str:
        return number(self.value, signed=self.signed)


class Numbers(tuple[str | Ref, ...]):
    """A formula with numbers put in, as text between references to steps."""

    __slots__ = ()

    @property
    def refs(self) -> Iterator[Ref]:
        """The numbers of the formula, in order."""
        return (part for part in self if isinstance(part, Ref))

    def __str__(self) -> str:
        return "".join(map(str, self))


@dataclass(frozen=True, eq=False)
class Step:
    """One step of a computation."""

    key: str
    """What the step is, whatever the language."""
    name: str
    formula: str
    numbers: Numbers
    """The formula with the numbers of one row put in."""
    tensor: Tensor
    """(rows, classes), (rows,) or (): the entries that are shown."""
    note: str
    rest: Tensor | None = None
    """What the classes that are not shown amount to in each row, or the rows that are not shown; None if that is no
    sum."""

    def to_dict(self) -> dict[str, Any]:
        """The step as what JSON can hold; nan and the infinities are strings."""
        return {
            "key": self.key,
            "name": self.name,
            "formula": self.formula,
            "numbers": str(self.numbers),
            "tensor": plain(self.tensor),
            "rest": None if self.rest is None else plain(self.rest),
            "note": self.note,
        }


@dataclass(frozen=True)
class Landmark:
    """A number to compare the value with."""

    key: str
    name: str
    value: float
    note: str


@dataclass(frozen=True, eq=False)
class Shown:
    """Which rows and classes of the input the steps show."""

    positions: tuple[tuple[int, ...], ...]
    """Index of each row in the target's shape."""
    all_rows: int
    classes: Tensor
    """Class indices (rows, classes), those of one row being in the order of its columns."""
    all_classes: int
    labels: tuple[tuple[int, ...], ...]
    """The columns of each row that are its target: its label, or the class of probability above a half."""
    ignored: tuple[bool, ...]
    class_names: tuple[str, ...] | None = None

    @property
    def aligned(self) -> bool:
        """Whether every row shows the same classes, in the same order."""
        return self.hidden_classes == 0

    @property
    def hidden_classes(self) -> int:
        """How many classes no row shows."""
        return self.all_classes - self.classes.shape[1]

    @property
    def hidden_rows(self) -> int:
        """How many rows are not shown."""
        return self.all_rows - len(self.positions)

    def class_name(self, row: int, column: int) -> str:
        """The name of a class, or its index."""
        index = int(self.classes[row, column])
        return str(index) if self.class_names is None else self.class_names[index]

    def row_name(self, row: int) -> str:
        """The index of a row, as in Python."""
        return ", ".join(map(str, self.positions[row]))


class Rest(NamedTuple):
    """What the classes that are not shown amount to, in each row."""

    lse: Tensor
    """Logsumexp of their logits at each of the temperatures, (rows, temperatures)."""
    max: Tensor
    p: Tensor
    p_z: Tensor
    """Σ p z."""
    tau: Tensor
    tau_z: Tensor


@dataclass(frozen=True, eq=False)
class Lab:
    """What a page needs to compute the rows again from other logits.

        ℓ_i = Σ_c τ_ic (lse_i − z_ic) + λ n_i lse_i²        z = softcap · tanh(logit_scale · x / softcap) / T

    x (rows, classes) the logits as they were given · p the target · τ what each class weighs · n what a row counts ·
    coefficient the factor with which ℓ_i enters the loss. The classes that are not shown enter through `rest`.
    """

    logits: Tensor
    p: Tensor
    tau: Tensor
    count: Tensor
    coefficient: Tensor
    temperatures: Tensor
    rest: Rest
    other_rows: float
    """What the rows that are not shown add to the loss."""
    z_loss: float = 0.0
    softcap: float | None = None
    logit_scale: float = 1.0
    per_nat: float = 1.0
    """Units in a nat."""


@dataclass(frozen=True, eq=False)
class Computation:
    """Steps, the value they lead to, and what torch makes of the same."""

    kind: Literal["cross_entropy", "kl", "entropy", "information"]
    titles: Mapping[Language, str]
    """What is computed, of what, in each language."""
    lang: Language
    unit: "Unit"
    steps: tuple[Step, ...]
    value: Tensor
    """What the function of this package returns; as of `unit`, for quantities, and in nats for losses."""
    reference: Tensor
    """The same by torch's own functions, in float64."""
    max_abs_diff: float
    """Largest absolute difference from torch, over value, rows, log-probabilities and gradient."""
    tolerance: float
    """What rounding explains of `max_abs_diff`."""
    check: str
    """The comparison in words."""
    landmarks: tuple[Landmark, ...]
    shown: Shown
    settings: dict[str, Any]
    """Keywords that are not at their default, as what JSON can hold."""
    lab: Lab | None = None

    @property
    def title(self) -> str:
        """What is computed, of what."""
        return self.titles[self.lang]

    @property
    def agrees(self) -> bool:
        """Whether torch's result differs by rounding alone."""
        return self.max_abs_diff <= self.tolerance

    def step(self, key: str) -> Step | None:
        """The step of that key, if the computation has it."""
        return next((step for step in self.steps if step.key == key), None)

    def to_dict(self) -> dict[str, Any]:
        """The explanation as what JSON can hold; nan and the infinities are strings."""
        return {
            "kind": self.kind,
            "title": self.title,
            "unit": self.unit,
            "settings": self.settings,
            "value": plain(self.value),
            "reference": plain(self.reference),
            "max_abs_diff": plain(self.max_abs_diff),
            "agrees": self.agrees,
            "rows": [list(position) for position in self.shown.positions],
            "all_rows": self.shown.all_rows,
            "classes": plain(self.shown.classes),
            "all_classes": self.shown.all_classes,
            "class_names": self.shown.class_names and list(self.shown.class_names),
            "steps": [step.to_dict() for step in self.steps],
            "landmarks": [
                {"key": mark.key, "name": mark.name, "value": plain(mark.value), "note": mark.note}
                for mark in self.landmarks
            ],
        }


def plain(x: Tensor | float) -> Any:  # noqa: ANN401 (nested lists)
    """Numbers as what strict JSON can hold."""
    if isinstance(x, Tensor):
        if x.dim():
            return [plain(part) for part in x.unbind()]
        x = x.item() if x.dtype != torch.bfloat16 else x.float().item()
    if isinstance(x, float) and not math.isfinite(x):
        return str(x)
    return x
