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
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from crossentropy._languages import Language
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
    rows: tuple[str, ...] = ()
    """Names of the tensor's rows: their indices in the target, "0" of a row without axes; one number has none."""
    columns: tuple[str, ...] = ()
    """Names of its columns: classes, or "#1", "#2", … where each row shows others; the key, of one number a row."""
    unit: Unit | None = None
    """The unit of numbers that are logarithms, or sums of them."""

    def to_dict(self) -> dict[str, Any]:
        """The step as what JSON can hold: one number is its `value`, all else a `table`.

            table = {"columns": […], "rows": […], "values": [[…], …]}

        `pandas.DataFrame(table["values"], index=table["rows"], columns=table["columns"])` is that table. nan and the
        infinities, which JSON lacks, are the strings "nan", "inf" and "-inf": with `.astype(float)` they are numbers
        again. `others` is `rest`.
        """
        return {
            "key": self.key,
            "name": self.name,
            "formula": self.formula,
            "numbers": str(self.numbers),
            "note": self.note,
            "unit": self.unit,
            "value": None if self.tensor.dim() else plain(self.tensor),
            "table": table(self.rows, self.columns, self.tensor) if self.tensor.dim() else None,
            "others": None if self.rest is None else plain(self.rest),
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

    def names(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Names of the rows, and of the columns of a matrix: the place among those shown, where rows show others."""
        columns = range(self.classes.shape[1])
        return (
            tuple(self.row_name(row) or "0" for row in range(len(self.positions))),
            tuple(self.class_name(0, k) if self.aligned else f"#{k + 1}" for k in columns),
        )


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
    unit: Unit
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
        """The explanation as what strict JSON can hold; nan and the infinities are strings, as in `Step.to_dict`.

        `unit` is that of `value` and `reference`; those of a loss are in nats. `classes` is the table of the class
        indices that each row of a matrix shows, `positions` are the indices of the rows in the target, `ignored` says
        which of them count nothing. `format` is 1, and another number if a key changes its meaning.
        """
        return {
            "format": 1,
            "kind": self.kind,
            "title": self.title,
            "unit": "nat" if self.kind == "cross_entropy" else self.unit,
            "settings": self.settings,
            "value": plain(self.value),
            "reference": plain(self.reference),
            "max_abs_diff": plain(self.max_abs_diff),
            "tolerance": plain(self.tolerance),
            "agrees": self.agrees,
            "positions": [list(position) for position in self.shown.positions],
            "all_rows": self.shown.all_rows,
            "ignored": list(self.shown.ignored),
            "classes": table(*self.shown.names(), self.shown.classes),
            "all_classes": self.shown.all_classes,
            "class_names": self.shown.class_names and list(self.shown.class_names),
            "steps": [step.to_dict() for step in self.steps],
            "landmarks": [
                {"key": mark.key, "name": mark.name, "value": plain(mark.value), "note": mark.note}
                for mark in self.landmarks
            ],
        }


def table(rows: tuple[str, ...], columns: tuple[str, ...], x: Tensor) -> dict[str, Any]:
    """A matrix, or one number a row, with its names."""
    return {"columns": list(columns), "rows": list(rows), "values": plain(x if x.dim() == 2 else x.unsqueeze(1))}


def plain(x: Tensor | float) -> Any:  # noqa: ANN401 (nested lists)
    """Numbers as what strict JSON can hold."""
    if isinstance(x, Tensor):
        if x.dim():
            return [plain(part) for part in x.unbind()]
        x = x.item() if x.dtype != torch.bfloat16 else x.float().item()
    if isinstance(x, float) and not math.isfinite(x):
        return str(x)
    return x
