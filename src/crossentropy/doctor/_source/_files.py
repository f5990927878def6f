"""Files: which are examined, and how they are read. Nothing is ever imported.

A notebook is one module: its code cells in order, with the lines of magics blanked; each line knows its cell.
"""

from __future__ import annotations

import ast
import json
import os
import tokenize
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path

from crossentropy.doctor._source._older import modern
from crossentropy.doctor._source._values import Place

LARGEST = 2_000_000
"""Bytes: what is longer was not written by hand."""

_PASSED_OVER = {"__pycache__", "node_modules", "build", "dist", "site-packages", "venv", "env"}
_SUFFIXES = (".py", ".ipynb")
_OF_DATA = (".csv", ".tsv", ".json", ".jsonl", ".md", ".txt", ".toml", ".yaml", ".yml")
"""Suffixes of text that may look like Python to Python: 0, 1, 2."""


class Unreadable(Exception):  # noqa: N818 (no error: a reason)
    """A file cannot be examined; the message says why."""


@dataclass(frozen=True)
class Source:
    """One file as it was read."""

    path: Path
    shown: str
    """The path as findings give it."""
    text: str
    tree: ast.Module
    cells: tuple[tuple[int, int], ...] | None = None
    """Of a notebook: the cell, and the line in it, of each line."""

    def place(self, node: ast.AST) -> Place:
        """Where a node is."""
        line, column = getattr(node, "lineno", 1), getattr(node, "col_offset", 0) + 1
        if self.cells is None:
            return Place(self.shown, line, column)
        cell, line = self.cells[line - 1]
        return Place(self.shown, line, column, cell)

    def line(self, line: int, cell: int | None) -> str:
        """The text of a line, counted from 1; of a notebook within a cell."""
        number = line if self.cells is None else self.cells.index((cell or 1, line)) + 1
        return self.lines[number - 1]

    @cached_property
    def lines(self) -> list[str]:
        """The text as Python counts its lines."""
        return [*self.text.split("\n"), ""]


_MARKS = (".git", "pyproject.toml", "setup.py", "setup.cfg", "requirements.txt")
"""What a project's folder holds."""


@dataclass(frozen=True)
class Roots:
    """Where modules are looked for: real paths of folders."""

    folders: tuple[str, ...]
    around: tuple[str, ...]
    """Those of them in which files are read that were not given, since one was given alone that may import them."""

    @classmethod
    def of(cls, paths: Sequence[Path]) -> Roots:
        """Folders that are given, and the projects of files."""
        around = {_project_of(os.path.realpath(path)) for path in paths if not os.path.isdir(path)}
        folders = {os.path.realpath(path) for path in paths if os.path.isdir(path)}
        return cls((*sorted(folders | around),), (*sorted(around),))


def _project_of(file: str) -> str:
    """The nearest folder above a file that looks like a project's, or else its own."""
    folder = own = os.path.dirname(file)
    while os.path.dirname(folder) != folder:
        if any(os.path.exists(os.path.join(folder, mark)) for mark in _MARKS):
            return folder
        folder = os.path.dirname(folder)
    return own


def discover(paths: Sequence[Path], unreadable: Callable[[Path, str], None]) -> Iterator[Path]:
    """The files that are meant: each once, those of folders sorted by name; `unreadable` is told of other folders."""
    seen: set[str] = set()
    for path in paths:
        for file in _walk(path, unreadable) if os.path.isdir(path) else (path,):
            real = os.path.realpath(file)
            if real not in seen:
                seen.add(real)
                yield file


def _walk(folder: Path, unreadable: Callable[[Path, str], None]) -> Iterator[Path]:
    """Links to folders are not followed, so that there are no loops."""

    def failed(error: OSError) -> None:
        unreadable(Path(error.filename), _why(error))

    for root, folders, files in os.walk(folder, onerror=failed):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and name not in _PASSED_OVER
            and not os.path.exists(os.path.join(root, name, "pyvenv.cfg"))
        )
        yield from (Path(root, name) for name in sorted(files) if name.endswith(_SUFFIXES))


def _why(error: OSError) -> str:
    return f"cannot be read: {error.strerror or error}"


def is_data(path: Path) -> bool:
    """Whether a file that was named is no program, whatever it holds."""
    return path.suffix.lower() in _OF_DATA


def text_of(path: Path) -> bytes:
    """The bytes of a file of bearable size."""
    try:
        if not path.is_file():
            raise Unreadable("not a file" if path.exists() else "no such file, or a link that leads nowhere")
        if path.stat().st_size > LARGEST:
            raise Unreadable(f"larger than {LARGEST // 1_000_000} MB")
        return path.read_bytes()
    except OSError as error:
        raise Unreadable(_why(error)) from error


def read(path: Path, data: bytes) -> Source:
    """Parse a file."""
    if path.suffix == ".ipynb":
        text, cells = _notebook(data)
    else:
        text, cells = _decode(data), None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = _parsed(text)
    except SyntaxError as error:
        where = "" if error.lineno is None else f", line {error.lineno}"
        raise Unreadable(f"not valid Python: {error.msg}{where}") from error
    except (RecursionError, MemoryError) as error:
        raise Unreadable("nested too deeply") from error
    except ValueError as error:
        raise Unreadable(f"not valid Python: {error}") from error
    return Source(path, shown(path), text, tree, cells)


def _parsed(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except SyntaxError as error:
        try:
            return ast.parse(modern(text))
        except SyntaxError:
            raise error from None


def _decode(data: bytes) -> str:
    try:
        encoding, _ = tokenize.detect_encoding(BytesIO(data).readline)
        return data.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
    except (SyntaxError, UnicodeDecodeError, LookupError) as error:
        raise Unreadable("not in the encoding that it declares, or UTF-8") from error


def _notebook(data: bytes) -> tuple[str, tuple[tuple[int, int], ...]]:
    lines: list[str] = []
    cells: list[tuple[int, int]] = []
    try:
        for number, content in enumerate(_code_cells(json.loads(data.decode("utf-8-sig"))), 1):
            for index, line in enumerate(_without_magics(content), 1):
                lines.append(line)
                cells.append((number, index))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Unreadable("not a notebook: no JSON with cells") from error
    return "\n".join(lines) + "\n", (*cells, (len(cells) or 1, 1))


def _code_cells(book: dict[str, list[dict[str, str | list[str]]]]) -> Iterator[str]:
    for cell in book["cells"]:
        if cell.get("cell_type") == "code":
            source = cell.get("source", "")
            yield source if isinstance(source, str) else "".join(source)


def _without_magics(content: str) -> list[str]:
    lines = content.split("\n")
    if _parses(content):
        return lines
    first = next((line for line in lines if line.strip()), "")
    if first.startswith("%%") and first.split()[0] not in ("%%time", "%%timeit", "%%capture"):
        return [""] * len(lines)
    return [_blank(line) for line in lines]


def _parses(content: str) -> bool:
    try:
        ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _blank(line: str) -> str:
    """A magic becomes `pass`, so that a block which holds nothing else stays one."""
    stripped = line.lstrip()
    if stripped.startswith(("%", "!")) or stripped.rstrip().endswith("?"):
        return line[: len(line) - len(stripped)] + "pass"
    return line


def shown(path: Path) -> str:
    """The path as findings give it: from the working directory, if it is below it."""
    try:
        return Path(os.path.abspath(path)).relative_to(Path.cwd()).as_posix()
    except (ValueError, OSError):
        return path.as_posix()
