"""Which file an import names: among those that are given, or beside them on the disk."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePath

import libcst as cst


class Modules:
    """The given files, as modules that import each other."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = {_place(path).with_suffix("").parts: path for path in paths if path}
        self._found: dict[tuple[str, str], tuple[list[str], list[str]]] = {}
        self._missing: dict[tuple[str, str], str | None] = {}

    def find(self, name: str, importer: str) -> tuple[list[str], list[str]]:
        """The given files that a dotted name may be a module of, and what is left of the name.

        Python's path begins with some folder; which one is not known. Those around the importer come first.
        """
        if (name, importer) not in self._found:
            self._found[name, importer] = self._find(name, importer)
        return self._found[name, importer]

    def named_by(self, text: cst.BaseExpression, importer: str) -> list[str]:
        """The given files that may be the module whose name is this text, of which only the beginning may be known.

        Python's path begins with a folder around the importer, and folders below that have names of modules.
        """
        known = _beginning(text)
        found = {path: at for at, path in self._paths.items() if f".{known}" in f".{'.'.join(at)}."}
        return [path for path, at in found.items() if all(map(str.isidentifier, _beyond(at, _place(importer).parts)))]

    def _find(self, name: str, importer: str) -> tuple[list[str], list[str]]:
        level, parts = _parse(name)
        for length in range(len(parts), -1 if level else 0, -1):
            module, rest = parts[:length], parts[length:]
            around = [self._paths[at] for at in _candidates(module, level, importer) if at in self._paths]
            found = around if around or level else [path for at, path in self._paths.items() if _ends(at, module)]
            if found:
                return found, rest
        return [], parts

    def missing(self, name: str, importer: str) -> str | None:
        """The file of a module that a dotted name is in, if it lies beside the importer and was not given.

        A relative import always names such a file.
        """
        if (name, importer) not in self._missing:
            self._missing[name, importer] = self._lacking(name, importer)
        return self._missing[name, importer]

    def _lacking(self, name: str, importer: str) -> str | None:
        level, parts = _parse(name)
        for length in range(len(parts), 0, -1):
            for at in _candidates(parts[:length], level, importer):
                path = Path(*at).with_suffix(".py")
                if path.is_file():
                    return None if at in self._paths else str(path)
        module = [*parts[:-1]] or parts
        return str(Path(_place(importer).parent, *[".."] * (level - 1), *module).with_suffix(".py")) if level else None


def _beginning(text: cst.BaseExpression) -> str:
    """What a text certainly begins with: whole parts of a dotted name."""
    if isinstance(text, cst.SimpleString):
        return f"{text.raw_value}."
    while isinstance(text, cst.BinaryOperation):
        text = text.left
    if isinstance(text, cst.Call) and isinstance(text.func, cst.Attribute) and text.func.attr.value == "format":
        text = text.func.value
    first = text.parts[0] if isinstance(text, cst.FormattedString) and text.parts else text
    value = first.raw_value if isinstance(first, cst.SimpleString) else ""
    value = first.value if isinstance(first, cst.FormattedStringText) else value
    return "".join(re.findall(r"\w+\.", re.split(r"[^\w.]", value)[0]))


def _beyond(path: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    """What is left of a path after the folders that it shares with another."""
    shared = (at for at, (one, two) in enumerate(zip(path[:-1], other[:-1])) if one != two)
    return path[next(shared, min(len(path), len(other)) - 1) :]


def _place(path: str) -> PurePath:
    return PurePath(os.path.normpath(path)) if path else PurePath()


def _parse(name: str) -> tuple[int, list[str]]:
    """How many dots a name begins with, and its parts."""
    rest = name.lstrip(".")
    return len(name) - len(rest), [part for part in rest.split(".") if part]


def _candidates(module: Sequence[str], level: int, importer: str) -> Iterator[tuple[str, ...]]:
    """Where a module may lie: from the folder that the dots name, or from each folder around the importer."""
    folders = _place(importer).parents
    for folder in folders[level - 1 : level] if level else folders:
        yield (*folder.parts, *module)
        yield (*folder.parts, *module, "__init__")


def _ends(path: tuple[str, ...], module: Sequence[str]) -> bool:
    at = path[:-1] if path[-1] == "__init__" else path
    return at[-len(module) :] == tuple(module)
