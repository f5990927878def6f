"""An explanation as Markdown: headings, formulae and tables."""

import re
from collections.abc import Iterator

from crossentropy._explain._data import Computation, number
from crossentropy._explain._layout import Grid, grid, legend, result, worked
from crossentropy._explain._words import say


def render(e: Computation) -> str:
    """The explanation as Markdown."""
    blocks = [f"# {escape(e.title)}"]
    for i, step in enumerate(e.steps, 1):
        blocks.append(f"## {i}. {escape(step.name)}")
        blocks.append(f"`{step.formula}`")
        blocks += [escape(step.note)] if step.note else []
        numbers, where = result(e, step), worked(e, step)
        blocks += [f"{escape(where) + ' ' if where else ''}`{numbers}`"] if numbers else []
        cells = grid(e, step)
        blocks += ["\n".join(_table(cells))] if cells is not None else []
        marks = legend(e, step)
        blocks += [escape(marks.replace("[ ]", "…"))] if marks else []
    if e.landmarks:
        rows = [f"| {escape(m.name)} | {number(m.value)} | {escape(m.note)} |" for m in e.landmarks]
        blocks += [f"## {say(e.lang, 'landmarks')}", "\n".join(["| | | |", "|---|---:|---|", *rows])]
    blocks.append(f"**{say(e.lang, 'check')} {'✓' if e.agrees else '✗'}** {escape(e.check)}")
    return "\n\n".join(blocks) + "\n"


def _table(cells: Grid) -> Iterator[str]:
    yield f"| {escape(cells.corner)} | {' | '.join(map(escape, cells.header))} |"
    yield "|---|" + "---:|" * len(cells.header)
    for line in cells.lines:
        texts = [
            (f"{escape(cell.name)}: " if cell.name else "") + (f"**{cell.text}**" if cell.target else cell.text)
            for cell in line.cells
        ]
        yield f"| {'× ' if line.ignored else ''}{escape(line.name)} | {' | '.join(texts)} |"


def escape(text: str) -> str:
    """Text whose signs mean nothing to Markdown or HTML."""
    return re.sub(r"([\\`*_{}\[\]()#+!|<>~&$])", r"\\\1", text)
