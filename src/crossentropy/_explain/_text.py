"""An explanation as plain text of at most 100 columns."""

import unicodedata
from collections.abc import Iterator, Sequence

from crossentropy._explain._data import Computation, Step, number
from crossentropy._explain._layout import Grid, grid, legend, result, worked
from crossentropy._explain._words import say

WIDTH = 100
INDENT = "    "
LONGEST_NAME = 14
"""Columns of a class's name; longer ones are cut."""


def render(e: Computation) -> str:
    """The explanation as text."""
    lines = [*wrap(e.title, WIDTH), "═" * min(WIDTH, width(e.title)), ""]
    for i, step in enumerate(e.steps, 1):
        lines += [*_step(e, step, i), ""]
    if e.landmarks:
        lines += [say(e.lang, "landmarks"), *_landmarks(e), ""]
    mark = "✓" if e.agrees else "✗"
    lines += wrap(f"{say(e.lang, 'check')} {mark} {e.check}", WIDTH, "  ")
    return "\n".join(line.rstrip() for line in lines)


def _step(e: Computation, step: Step, i: int) -> Iterator[str]:
    head = f"{i:2}. {step.name}"
    yield from wrap(f"{head}  {step.formula}", WIDTH, INDENT)
    yield from (INDENT + line for line in wrap(step.note, WIDTH - len(INDENT)))
    numbers = result(e, step)
    if numbers:
        where = worked(e, step)
        where = f"{where}  " if where else ""
        yield from (INDENT + line for line in wrap(where + numbers, WIDTH - len(INDENT), "  "))
    cells = grid(e, step)
    if cells is not None:
        yield from _grid(cells)
    marks = legend(e, step)
    yield from [INDENT + marks] if marks else []


def _grid(cells: Grid) -> Iterator[str]:
    """The grid, in blocks of as many columns as fit."""
    names = [("× " if line.ignored else "") + line.name for line in cells.lines]
    first = max(width(text) for text in (cells.corner, *names))
    columns = list(zip(*(line.cells for line in cells.lines))) if cells.lines else []
    widths = [
        max(
            width(_cut(cells.header[k])),
            *(width(cell.text) + 2 for cell in column),
            *(width(_cut(cell.name)) for cell in column),
        )
        for k, column in enumerate(columns)
    ]
    for block in _blocks(widths, WIDTH - len(INDENT) - 2 - first):
        head = [pad(_cut(cells.header[k]) + " ", widths[k]) for k in block]
        if any(cells.header):
            yield _line(cells.corner, head, first)
        for line, name in zip(cells.lines, names):
            if any(line.cells[k].name for k in block):
                yield _line("", [pad(_cut(line.cells[k].name) + " ", widths[k]) for k in block], first)
            marked = [f"[{c.text}]" if c.target else f"{c.text} " for c in (line.cells[k] for k in block)]
            yield _line(name, [pad(text, widths[k]) for text, k in zip(marked, block)], first)


def _line(name: str, cells: Sequence[str], first: int) -> str:
    return f"{INDENT}  {name}{' ' * (first - width(name))} {' '.join(cells)}"


def _blocks(widths: Sequence[int], room: int) -> Iterator[list[int]]:
    block: list[int] = []
    for k, w in enumerate(widths):
        if block and sum(widths[j] + 1 for j in block) + w + 1 > room:
            yield block
            block = []
        block.append(k)
    if block:
        yield block


def _landmarks(e: Computation) -> Iterator[str]:
    names = max(width(mark.name) for mark in e.landmarks)
    numbers = max(len(number(mark.value)) for mark in e.landmarks)
    for mark in e.landmarks:
        text = f"{mark.name}{' ' * (names - width(mark.name))}  {number(mark.value):>{numbers}}  {mark.note}"
        yield from (INDENT + line for line in wrap(text, WIDTH - len(INDENT), " " * (names + numbers + 4)))


# --- columns of a terminal ----------------------------------------------------------------------------------------


def width(text: str) -> int:
    """Columns that a text takes: Chinese characters take two, marks on a letter none."""
    return sum(_columns(c) for c in text)


def _columns(c: str) -> int:
    return 0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1


def pad(text: str, columns: int) -> str:
    """The text, right-aligned."""
    return " " * (columns - width(text)) + text


def _cut(name: str) -> str:
    if width(name) <= LONGEST_NAME:
        return name
    kept = ""
    for c in name:
        if width(kept + c) > LONGEST_NAME - 1:
            break
        kept += c
    return kept + "…"


def wrap(text: str, columns: int, indent: str = "") -> list[str]:
    """Lines of at most so many columns, broken at spaces and between Chinese characters; all but the first indented."""
    lines, line = [], ""
    for piece in _pieces(text):
        if line.strip() and width(line + piece.rstrip()) > columns:
            lines.append(line.rstrip())
            line = indent
        line += piece if line.strip() else piece.lstrip()
    return [*lines, line.rstrip()] if line.strip() else lines


def _pieces(text: str) -> Iterator[str]:
    """The parts of a text that stay together: words with the space behind them, single Chinese characters."""
    piece = ""
    for c in text:
        wide, punctuation = width(c) == 2, unicodedata.category(c).startswith("P")
        if piece and not punctuation and (piece[-1].isspace() or wide or width(piece[-1]) == 2):
            yield piece
            piece = ""
        piece += c
    if piece:
        yield piece
