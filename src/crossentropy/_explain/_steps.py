"""Building the steps of an explanation: words by language, and formulae whose numbers are references."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from torch import Tensor

from crossentropy._explain._data import Numbers, Ref, Shown, Step
from crossentropy._explain._words import say
from crossentropy._languages import Language
from crossentropy.information import Unit

MOST_TERMS = 6
"""Terms of a sum that are written out."""

LOGARITHMS = (
    *("logits", "max", "shifted", "lse", "log_softmax", "log_probabilities", "nll", "z_loss", "loss", "rows", "value"),
    *("information", "log_ratio", "entropy_terms", "kl_terms", "entropy", "kl", "cross_entropy"),
)
"""Steps whose numbers are in the unit of logarithms."""


class Steps:
    """Steps in order, and references to the numbers of those that are there."""

    def __init__(self, lang: Language, shown: Shown, unit: Unit = "nat") -> None:
        self.lang: Language = lang
        self.shown = shown
        self.unit: Unit = unit
        self._rows, self._classes = shown.names()
        self.worked = next((row for row, ignored in enumerate(shown.ignored) if not ignored), 0)
        """The row whose numbers stand for all in formulae of one row."""
        self._steps: dict[str, Step] = {}

    def add(
        self,
        key: str,
        formula: str,
        tensor: Tensor,
        numbers: Callable[["Steps"], Sequence[str | Ref]] | None = None,
        *,
        rest: Tensor | None = None,
        notes: Sequence[str] = (),
        words: str | None = None,
        unit: Unit | None = None,
    ) -> None:
        """Append a step; its name and note are the words of its key, or others. `numbers` may refer to it."""
        words = words or key
        note = (" " if self.lang == "en" else "").join((say(self.lang, f"{words}.note"), *notes)).strip()
        unit = self.unit if unit is None and key in LOGARITHMS else unit
        rows = self._rows if tensor.dim() else ()
        columns = self._classes if tensor.dim() == 2 else (key,) * tensor.dim()
        step = Step(key, say(self.lang, words), formula, Numbers(), tensor, note, rest, rows, columns, unit)
        self._steps[key] = step
        if numbers is not None:
            self._steps[key] = replace(step, numbers=Numbers(numbers(self)))

    def ref(self, key: str, row: int | None = None, column: int | None = None, *, signed: bool = False) -> Ref:
        """A number of a step: an entry of its tensor, or for column −1 of its rest."""
        step = self._steps[key]
        source = step.tensor
        if column == -1:
            assert step.rest is not None
            source, column_ = step.rest, None
        else:
            column_ = column
        for index in (row, column_):
            if index is not None:
                source = source[index]
        return Ref(key, float(source), row, column, signed)

    def has(self, key: str) -> bool:
        """Whether the step is there."""
        return key in self._steps

    def at(self, key: str, column: int | None = None) -> Ref:
        """A number of the worked row."""
        return self.ref(key, self.worked, column)

    def target_column(self) -> int:
        """A column of the worked row that is its target, or the first."""
        labels = self.shown.labels[self.worked]
        return labels[0] if labels else 0

    def sum(self, key: str, *, signed: bool = False) -> list[str | Ref]:
        """The worked row of a matrix as a sum; of many terms the first are written, and then the others'."""
        step = self._steps[key]
        columns = list(range(min(step.tensor.shape[1], MOST_TERMS)))
        gap = ["…"] if step.tensor.shape[1] > MOST_TERMS else []
        rest = [] if step.rest is None else [-1]
        terms: list[str | Ref] = [self.ref(key, self.worked, k, signed=signed and k != 0) for k in columns]
        terms += [*gap, *(self.ref(key, self.worked, k, signed=signed) for k in rest)]
        return joined(terms, " " if signed else " + ")

    def done(self) -> tuple[Step, ...]:
        """All steps."""
        return tuple(self._steps.values())


def joined(terms: Sequence[str | Ref], by: str = " + ") -> list[str | Ref]:
    """Terms with a sign or a comma between them."""
    result: list[str | Ref] = []
    for term in terms:
        result += [by, term] if result else [term]
    return result
