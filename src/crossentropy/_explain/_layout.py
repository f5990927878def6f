"""What every renderer shows of a step: a heading, a note, the formula with numbers, and a grid of cells.

Nothing is computed here: a cell is an entry of the step's tensor, with its place and its marks.
"""

from collections.abc import Iterator
from typing import NamedTuple

from crossentropy._explain._data import Computation, Step, number
from crossentropy._explain._words import say


class Cell(NamedTuple):
    """An entry of a step's tensor."""

    text: str
    row: int | None
    column: int | None
    """−1 for what is not shown; None in a step with one number a row."""
    target: bool = False
    name: str = ""
    """The class, where the columns of rows are different classes."""


class Line(NamedTuple):
    """A row of a grid."""

    name: str
    ignored: bool
    cells: tuple[Cell, ...]


class Grid(NamedTuple):
    """The cells of a step: one line for each row of a matrix, or one line for numbers that rows have."""

    corner: str
    header: tuple[str, ...]
    """Names of the columns."""
    lines: tuple[Line, ...]


def grid(e: Computation, step: Step) -> Grid | None:
    """The cells of a step; None for a single number."""
    if step.tensor.dim() == 2:
        return _matrix(e, step)
    return _vector(e, step) if step.tensor.dim() == 1 else None


def worked(e: Computation, step: Step) -> str:
    """Which row, and class, the numbers of a step's formula are of, in words; nothing where there is but one."""
    last = next((ref for ref in reversed(list(step.numbers.refs)) if ref.step == step.key), None)
    if last is None or last.row is None:
        return ""
    parts = [] if len(e.shown.positions) == 1 else [f"{say(e.lang, 'row')} {row_name(e, last.row)}"]
    if last.column is not None and last.column >= 0:
        parts.append(
            f"{say(e.lang, 'class' if e.kind == 'cross_entropy' else 'outcome')} {class_name(e, last.row, last.column)}"
        )
    return say(e.lang, "worked", where=(", " if e.lang == "en" else "\uff0c").join(parts)) if parts else ""


def result(e: Computation, step: Step) -> str:
    """The formula with numbers, or the number of a step that has no formula of others."""
    return str(step.numbers) if step.numbers or step.tensor.dim() else f"= {number(float(step.tensor))}"


def row_name(e: Computation, row: int) -> str:
    """The index of a row; a single row without axes has none."""
    return e.shown.row_name(row)


def class_name(e: Computation, row: int, column: int) -> str:
    """The name of a class on one line, without what a terminal would obey."""
    return "".join(c if c.isprintable() else "\ufffd" for c in e.shown.class_name(row, column))


def place(step: str, row: int | None, column: int | None) -> str:
    """The name of a number's place."""
    return ":".join((step, *("" if i is None else str(i) for i in (row, column))))


def _matrix(e: Computation, step: Step) -> Grid:
    aligned, columns = e.shown.aligned, step.tensor.shape[1]
    header = tuple(class_name(e, 0, k) if aligned else "" for k in range(columns))
    if not aligned:
        header += (say(e.lang, "others", count=f"{e.shown.hidden_classes:,}"),)
    lines = []
    for row, values in enumerate(step.tensor.tolist()):
        cells = [
            Cell(number(x), row, k, k in e.shown.labels[row], "" if aligned else class_name(e, row, k))
            for k, x in enumerate(values)
        ]
        if not aligned:
            cells.append(Cell("…" if step.rest is None else number(float(step.rest[row])), row, -1))
        lines.append(Line(row_name(e, row), e.shown.ignored[row], tuple(cells)))
    corner = say(e.lang, "class" if e.kind == "cross_entropy" else "outcome")
    return Grid(corner, header, tuple(lines))


def _vector(e: Computation, step: Step) -> Grid:
    ignored = e.shown.ignored
    marks = ["× " if skipped else "" for skipped in ignored]
    header = tuple(mark + row_name(e, row) for row, mark in enumerate(marks))
    cells = [Cell(number(x), row, None) for row, x in enumerate(step.tensor.tolist())]
    if step.rest is not None:
        header += (say(e.lang, "other_rows", count=f"{e.shown.hidden_rows:,}"),)
        cells.append(Cell(number(float(step.rest)), None, -1))
    return Grid(say(e.lang, "row"), header, (Line("", False, tuple(cells)),))


def legend(e: Computation, step: Step) -> str:
    """What the marks mean that are used, for the first step with a matrix."""
    first = next((other for other in e.steps if other.tensor.dim() == 2), e.steps[0])
    return " · ".join(_marks(e)) if step is first else ""


def _marks(e: Computation) -> Iterator[str]:
    if any(e.shown.labels):
        yield say(e.lang, "legend.target")
    if any(e.shown.ignored):
        yield say(e.lang, "legend.ignored")
    if e.shown.hidden_classes:
        yield say(e.lang, "legend.others", count=f"{e.shown.hidden_classes:,}")
    if e.shown.hidden_rows and any(step.tensor.dim() == 1 and step.rest is not None for step in e.steps):
        yield say(e.lang, "legend.other_rows", count=f"{e.shown.hidden_rows:,}")
