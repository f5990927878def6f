"""An explanation as HTML: tables and figures without script, for notebooks; `_page` makes a page of it.

Every number carries the name of its place, data-n="step:row:column", which is how a page finds it. Whatever came from
outside is escaped.
"""

import html
import re
from collections.abc import Iterator
from importlib import resources

from crossentropy._explain._data import Computation, Numbers, Ref, Step, number
from crossentropy._explain._layout import Cell, Grid, grid, legend, place, row_name, worked
from crossentropy._explain._svg import areas, bars
from crossentropy._explain._words import say


def fragment(e: Computation) -> str:
    """The explanation as one element, with its style inside."""
    return (
        f'<div class="ce-explain" lang="{LANGUAGES[e.lang]}"><style>{read("style.css")}</style>'
        f'<p class="title">{html.escape(e.title)}</p>{figures(e, first_counted(e))}{body(e)}</div>'
    )


LANGUAGES = {"en": "en", "zh": "zh-CN"}


def read(name: str) -> str:
    """A file of this package."""
    return resources.files("crossentropy._explain").joinpath(name).read_text("utf-8")


def body(e: Computation) -> str:
    """Steps, landmarks and check."""
    steps = "".join(_step(e, step, i) for i, step in enumerate(e.steps, 1))
    mark = "✓" if e.agrees else "✗"
    check = f'<p class="check"><b>{say(e.lang, "check")} {mark}</b> {html.escape(e.check)}</p>'
    return f"{steps}{_landmarks(e)}{check}"


def figures(e: Computation, i: int) -> str:
    """The figures of a row, which their captions name where there are several."""
    row = f"{say(e.lang, 'row')} {row_name(e, i)}"
    where = say(e.lang, "worked", where=row) + " " if len(e.shown.positions) > 1 else ""
    drawn = [(bars(e, i), f"figure.bars.{e.kind}"), (areas(e, i), f"figure.areas.{e.kind}")]
    return "".join(
        f"<figure>{svg}<figcaption>{html.escape(where + say(e.lang, caption))}</figcaption></figure>"
        for svg, caption in drawn
        if svg
    )


def first_counted(e: Computation) -> int:
    """The first row that is not ignored."""
    return next((i for i, ignored in enumerate(e.shown.ignored) if not ignored), 0)


def _step(e: Computation, step: Step, i: int) -> str:
    note = f"<p>{html.escape(step.note)}</p>" if step.note else ""
    where = worked(e, step)
    where = f'<span class="where">{html.escape(where)}</span> ' if where else ""
    numbers = _numbers(step)
    numbers = f'<p class="numbers">{where}{numbers}</p>' if numbers else ""
    cells = grid(e, step)
    table = _table(step, cells) if cells is not None else ""
    marks = legend(e, step)
    marks = f'<p class="where">{html.escape(marks)}</p>' if marks else ""
    head = f'<span class="i">{i}</span> {html.escape(step.name)} <code>{formula(step.formula)}</code>'
    return f"<section><h3>{head}</h3>{note}{numbers}{table}{marks}</section>"


def formula(text: str) -> str:
    """A formula, its indices set low."""
    return re.sub(r"_\{([^}]*)\}|_([A-Za-z]+)", _low, html.escape(text))


def _low(found: re.Match[str]) -> str:
    inner = found[2] or re.sub(r"_([A-Za-z]+)", r"<sub>\1</sub>", found[1])
    return f"<sub>{inner}</sub>"


def _numbers(step: Step) -> str:
    parts: Numbers | tuple[str | Ref, ...] = step.numbers
    if not parts and not step.tensor.dim():
        parts = ("= ", Ref(step.key, float(step.tensor)))
    return "".join(html.escape(part) if isinstance(part, str) else _ref(part) for part in parts)


def _ref(ref: Ref) -> str:
    signed = ' data-signed=""' if ref.signed else ""
    return f'<b data-n="{place(ref.step, ref.row, ref.column)}"{signed}>{ref}</b>'


def _table(step: Step, cells: Grid) -> str:
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in cells.header)
    head = f"<tr><td>{html.escape(cells.corner)}</td>{head}</tr>" if any(cells.header) else ""
    return _scroll(step.name, f"<table>{head}{''.join(_lines(step, cells))}</table>")


def _scroll(label: str, table: str) -> str:
    """A table that scrolls by itself, also by keyboard, where it is too wide."""
    return f'<div class="scroll" tabindex="0" role="group" aria-label="{html.escape(label)}">{table}</div>'


def _lines(step: Step, cells: Grid) -> Iterator[str]:
    for line in cells.lines:
        ignored = ' class="ignored"' if line.ignored else ""
        name = ("× " if line.ignored else "") + html.escape(line.name) or formula(_symbol(step))
        texts = "".join(_cell(step, cell) for cell in line.cells)
        yield f'<tr{ignored}><th scope="row">{name}</th>{texts}</tr>'


def _symbol(step: Step) -> str:
    """What the numbers of a step are called: the left side of its formula, which may be all of it."""
    return step.formula.partition(" = ")[0]


def _cell(step: Step, cell: Cell) -> str:
    target = ' class="target"' if cell.target else ""
    text = f"[{cell.text}]" if cell.target else cell.text
    name = f"<small>{html.escape(cell.name)}</small>" if cell.name else ""
    return f'<td data-n="{place(step.key, cell.row, cell.column)}"{target}>{name}<span>{text}</span></td>'


def _landmarks(e: Computation) -> str:
    if not e.landmarks:
        return ""
    rows = "".join(
        f'<tr><th scope="row">{html.escape(mark.name)}</th>'
        f'<td data-n="{place(f"mark.{mark.key}", None, None)}"><span>{number(mark.value)}</span></td>'
        f'<td class="note" data-note="{mark.key}">{html.escape(mark.note)}</td></tr>'
        for mark in e.landmarks
    )
    title = say(e.lang, "landmarks")
    table = _scroll(title, f'<table class="marks">{rows}</table>')
    return f"<section><h3>{title}</h3>{table}</section>"
