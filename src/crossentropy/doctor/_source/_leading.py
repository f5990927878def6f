"""Statements of a module that lead to no loss: those after the last that does, such as the plots at a notebook's end.

    model = Net()             # leads to the loss below
    train(model)              # does, since `train`, here or where it is imported from, mentions one
    for image in data:        # is left out: neither its words nor the functions that it names mention one
        show(model(image))

What is left out may bind names that others ask for: then it is followed after all.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Collection, Iterator
from typing import TypeAlias

from crossentropy.doctor._source._files import Source
from crossentropy.doctor._source._names import used_in
from crossentropy.doctor._source._relevance import LOSS

_WORD = re.compile(r"[^\W\d]\w*")
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_DECLARATIONS = (*_DEFINITIONS, ast.Import, ast.ImportFrom)
_Import: TypeAlias = tuple[int, str, str]
"""The level of a relative import, the module, and a name in it or nothing."""


class Leading:
    """Which names and statements may lead to a loss, by the words in their text."""

    def __init__(
        self,
        source: Callable[[str], Source | None],
        find: Callable[[str, int, str, str], str | None],
        reaches: Callable[[str], bool],
    ) -> None:
        self._source = source
        self._find = find
        self._reaches = reaches
        self._tables: dict[str, dict[str, ast.stmt | _Import]] = {}
        self._known: dict[tuple[str, str], bool] = {}

    def left_out(self, path: str) -> list[ast.stmt]:
        """The statements of a module that lead to no loss; but for definitions, imports and what calls nothing."""
        source = self._source(path)
        if source is None:
            return []
        table = self._table(path)
        leading = {name for name in table if self._leads(path, name)}
        body = source.tree.body
        last = -1
        for index, statement in enumerate(body):
            if not isinstance(statement, _DECLARATIONS) and _mentions(_text(source, statement), leading):
                last = last if _shows(statement, table.keys() - leading) else index
                _spread(source, statement, leading, table)
        rest = (statement for statement in body[last + 1 :] if not isinstance(statement, _DECLARATIONS))
        return [statement for statement in rest if "(" in _text(source, statement)]

    def _leads(self, path: str, name: str) -> bool:
        """Whether a name of a module is a function, class or module that may lead to a loss."""
        key = (path, name)
        if key not in self._known:
            self._known[key] = False  # what calls itself does not lead to a loss by that
            self._known[key] = self._looks_leading(path, self._table(path)[name])
        return self._known[key]

    def _looks_leading(self, path: str, meant: ast.stmt | _Import) -> bool:
        if isinstance(meant, tuple):
            return self._import_leads(path, *meant)
        words, table = used_in(meant), self._table(path)
        return any(map(LOSS.search, words)) or any(self._leads(path, word) for word in words & table.keys())

    def _import_leads(self, path: str, level: int, module: str, name: str) -> bool:
        if name and (whole := self._find(path, level, module, name)) is not None:
            return self._reaches(whole)
        file = self._find(path, level, module, "")
        if file is None:
            return False
        if not name or name == "*":
            return self._reaches(file)
        return self._leads(file, name) if name in self._table(file) else self._reaches(file)

    def _table(self, path: str) -> dict[str, ast.stmt | _Import]:
        """What a module defines and imports, by name."""
        if path not in self._tables:
            source = self._source(path)
            self._tables[path] = {} if source is None else dict(_declared(source.tree.body))
        return self._tables[path]


def _declared(body: list[ast.stmt]) -> Iterator[tuple[str, ast.stmt | _Import]]:
    waiting = list(body)
    for statement in waiting:
        if isinstance(statement, _DEFINITIONS):
            yield statement.name, statement
        elif isinstance(statement, ast.Import):
            for alias in statement.names:
                yield alias.asname or alias.name.partition(".")[0], (0, alias.name, "")
        elif isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                yield alias.asname or alias.name, (statement.level, statement.module or "", alias.name)
        elif isinstance(statement, (ast.If, ast.Try)):
            waiting += (*statement.body, *statement.orelse)


def _text(source: Source, statement: ast.stmt) -> str:
    return "\n".join(source.lines[statement.lineno - 1 : statement.end_lineno])


def _mentions(text: str, leading: set[str]) -> bool:
    return LOSS.search(text) is not None or not leading.isdisjoint(_WORD.findall(text))


def _spread(source: Source, statement: ast.stmt, leading: set[str], table: dict[str, ast.stmt | _Import]) -> None:
    """Add the names that a statement gives a loss, or something that leads to one."""
    simple = [
        part for part in ast.walk(statement) if isinstance(part, (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Expr))
    ]
    waiting = [(_text(source, part), set(changed(part)) - table.keys()) for part in simple]
    before = -1
    while before < len(leading):  # in a loop what comes later may go into what comes before
        before = len(leading)
        for text, names in waiting:
            if not names <= leading and _mentions(text, leading):
                leading |= names


def changed(statement: ast.stmt) -> Iterator[str]:
    """The names that a statement binds, or whose methods it calls."""
    for part in ast.walk(statement):
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            yield part.id
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        root = _root(statement.value.func)
        if root is not None and root is not statement.value.func:
            yield root.id


def _root(function: ast.expr) -> ast.Name | None:
    while isinstance(function, ast.Attribute):
        function = function.value
    return function if isinstance(function, ast.Name) else None


def _shows(statement: ast.stmt, harmless: Collection[str]) -> bool:
    """Whether a statement only gives names to a function that leads to no loss, as a plot does."""
    if not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Call):
        return False
    call = statement.value
    root = _root(call.func)
    if root is None or (root.id != "print" and root.id not in harmless) or any(map(LOSS.search, used_in(call.func))):
        return False
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    return not any(isinstance(part, (ast.Call, ast.BinOp)) for value in given for part in ast.walk(value))
