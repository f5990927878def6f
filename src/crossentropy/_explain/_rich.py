"""An explanation for rich: the same tables and words, with colour beside the marks."""

from rich import box
from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from crossentropy._explain._data import Computation, Step, number
from crossentropy._explain._layout import Grid, grid, legend, result, worked
from crossentropy._explain._words import say


def render(e: Computation) -> Group:
    """The explanation as something that rich prints."""
    parts: list[object] = [Text(e.title, style="bold underline"), Text("")]
    for i, step in enumerate(e.steps, 1):
        parts += [_step(e, step, i), Text("")]
    if e.landmarks:
        parts += [Text(say(e.lang, "landmarks"), style="bold"), _landmarks(e)]
    mark, style = ("✓", "bold green") if e.agrees else ("✗", "bold red")
    parts.append(Text.assemble((f"{say(e.lang, 'check')} {mark} ", style), e.check))
    return Group(*parts)  # pyright: ignore[reportArgumentType] (all are renderable)


def _step(e: Computation, step: Step, i: int) -> Group:
    parts: list[object] = [Text.assemble((f"{i:2}. {step.name}", "bold"), "  ", (step.formula, "cyan"))]
    inside: list[object] = [Text(step.note, style="italic")] if step.note else []
    numbers = result(e, step)
    if numbers:
        where = worked(e, step)
        inside.append(Text.assemble((f"{where}  " if where else "", "dim"), (numbers, "cyan")))
    cells = grid(e, step)
    if cells is not None:
        inside.append(_table(cells))
    marks = legend(e, step)
    inside += [Text(marks, style="dim")] if marks else []
    return Group(*parts, *(Padding(part, (0, 0, 0, 4)) for part in inside))  # pyright: ignore[reportArgumentType]


def _table(cells: Grid) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_header=any(cells.header), pad_edge=False)
    table.add_column(Text(cells.corner), style="dim", no_wrap=True)
    for name in cells.header:
        table.add_column(Text(name, overflow="ellipsis"), justify="right", max_width=16)
    for line in cells.lines:
        style = "dim" if line.ignored else ""
        texts = [
            Text.assemble(
                (f"{cell.name}\n" if cell.name else "", "dim"),
                (f"[{cell.text}]", "bold reverse") if cell.target else f"{cell.text} ",
            )
            for cell in line.cells
        ]
        table.add_row(Text(("× " if line.ignored else "") + line.name), *texts, style=style)
    return table


def _landmarks(e: Computation) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 4))
    for mark in e.landmarks:
        table.add_row(Text(mark.name), Text(number(mark.value), justify="right"), Text(mark.note, style="italic"))
    return table
