"""Lines that continue an expression under its opening bracket stay there when the bracket moves."""

import io
import tokenize
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from crossentropy.doctor._convert._edits import Edit


class Bracket(NamedTuple):
    """An opening bracket that more follows on its line: rows are counted from 1, columns from 0."""

    row: int
    column: int


def realigned(source: bytes, start: int, edits: Sequence[Edit]) -> Iterator[Edit]:
    """The edits of indentation that a file needs beside others; it begins at `start` of the text that they are of."""
    if not any(start <= edit.start <= start + len(source) for edit in edits):
        return
    lines = source.decode().splitlines(keepends=True)
    places = _Places(lines, start)
    mine = [edit for edit in edits if start <= edit.start <= start + len(source)]
    shifts: dict[int, int] = {}
    for row, bracket in _continued(lines):
        line = lines[row - 1]
        indent = len(line) - len(line.lstrip(" "))
        if indent != bracket.column + 1:
            continue
        at = places.offset(bracket.row, bracket.column)
        before = [edit for edit in mine if places.offset(bracket.row, 0) <= edit.start and edit.end <= at]
        shift = shifts.get(bracket.row, 0) + sum(_growth(source, start, edit) for edit in before)
        first = places.offset(row, 0)
        if shift and not any(edit.start <= first + indent and edit.end >= first for edit in mine):
            shifts[row] = shift
            yield Edit(first, first, " " * shift) if shift > 0 else Edit(first, first - shift)


def _growth(source: bytes, start: int, edit: Edit) -> int:
    """By how many columns an edit moves what follows it on its line."""
    before = source[edit.start - start : edit.end - start].decode()
    return 0 if "\n" in before + edit.text else len(edit.text) - len(before)


class _Places:
    """Offsets in UTF-8 of rows and columns."""

    def __init__(self, lines: Sequence[str], start: int) -> None:
        self._lines = lines
        self._starts = [start]
        for line in lines:
            self._starts.append(self._starts[-1] + len(line.encode()))

    def offset(self, row: int, column: int) -> int:
        return self._starts[row - 1] + len(self._lines[row - 1][:column].encode())


def _continued(lines: Sequence[str]) -> Iterator[tuple[int, Bracket]]:
    """The rows that begin within a bracket after which more stands on its line, and that bracket."""
    stack: list[Bracket | None] = []
    last = 0
    opened: tuple[int, int] | None = None
    for token in tokenize.generate_tokens(io.StringIO("".join(lines)).readline):
        if opened is not None:
            stack.append(Bracket(*opened) if token.type not in (tokenize.NL, tokenize.COMMENT) else None)
            opened = None
        if token.start[0] > last and token.type not in (tokenize.NL, tokenize.COMMENT):
            last = token.start[0]
            if stack and stack[-1] is not None and not lines[last - 1][: token.start[1]].strip():
                yield last, stack[-1]
        if token.type == tokenize.OP and token.string in "([{":
            opened = token.start
        elif token.type == tokenize.OP and token.string in ")]}" and stack:
            stack.pop()
        last = max(last, token.end[0] if token.type == tokenize.STRING else 0)
