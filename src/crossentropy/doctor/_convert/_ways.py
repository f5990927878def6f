"""The ways through a function: what runs, and what each returns, as far as the settings of an object decide."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import libcst as cst

from crossentropy.doctor._convert._file import walk
from crossentropy.doctor._convert._script import Script

_MOST = 32
Decide = Callable[[cst.BaseExpression], bool | None]


@dataclass(frozen=True)
class Way:
    """One way: the statements in their order; loops and the like are one statement."""

    statements: tuple[cst.CSTNode, ...] = ()
    tests: tuple[cst.BaseExpression, ...] = ()
    """What decides for this way, and is not known."""
    ended: bool = False

    @property
    def result(self) -> cst.BaseExpression | None:
        """What the function returns."""
        last = self.statements[-1] if self.statements else None
        return last.value if isinstance(last, cst.Return) else None


def ways(function: cst.FunctionDef, decide: Decide) -> list[Way] | None:
    """The ways that return something; None if there are too many, or one returns from within a loop."""
    found = _through([Way()], function.body, decide)
    return None if found is None else [way for way in found if way.ended and way.result is not None]


def binding(script: Script, way: Way, name: str, before: int) -> tuple[int, cst.CSTNode] | None:
    """The last statement of a way before another that binds a name, or a part of what it holds."""
    for index in range(before - 1, -1, -1):
        if any(name == bound for bound in _bound(script, way.statements[index])):
            return index, way.statements[index]
    return None


def _bound(script: Script, statement: cst.CSTNode) -> Iterator[str]:
    """The names that a statement binds, or changes what they hold."""
    for node in script.inside(statement):
        targets = node.targets if isinstance(node, cst.Assign) else ()
        single = [node.target] if isinstance(node, cst.AugAssign | cst.AnnAssign | cst.For | cst.NamedExpr) else []
        for target in [*(one.target for one in targets), *single]:
            yield from (one.value for one in script.inside(target) if isinstance(one, cst.Name))
        if isinstance(node, cst.AsName | cst.Del):
            yield from (one.value for one in script.inside(node) if isinstance(one, cst.Name))
        if isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute) and _changes(node.func.attr.value):
            yield script.text(node.func.value)


def _changes(method: str) -> bool:
    return (method.endswith("_") and not method.endswith("__")) or method in ("update", "append", "pop", "insert")


def _through(found: list[Way], body: cst.CSTNode | None, decide: Decide) -> list[Way] | None:
    lines: Sequence[cst.CSTNode] = body.body if isinstance(body, cst.IndentedBlock | cst.SimpleStatementSuite) else ()
    for line in lines:
        following: list[Way] = []
        for way in found:
            more = [way] if way.ended else _after(way, line, decide)
            if more is None:
                return None
            following += more
        found = following
        if len(found) > _MOST:
            return None
    return found


def _after(way: Way, line: cst.CSTNode, decide: Decide) -> list[Way] | None:
    """What becomes of a way by one more statement."""
    if isinstance(line, cst.If):
        return _branch(way, line, decide)
    if isinstance(line, cst.With):
        return _through([way], line.body, decide)
    for statement in line.body if isinstance(line, cst.SimpleStatementLine) else [line]:
        if isinstance(statement, cst.BaseCompoundStatement):
            inner = [] if isinstance(statement, cst.FunctionDef | cst.ClassDef) else walk(statement)
            if any(isinstance(node, cst.Return) for node in inner):
                return None
        ended = isinstance(statement, cst.Return | cst.Raise)
        way = replace(way, statements=(*way.statements, statement), ended=ended)
        if ended:
            break
    return [way]


def _branch(way: Way, line: cst.If, decide: Decide) -> list[Way] | None:
    truth = decide(line.test)
    found: list[Way] = []
    for taken in (True, False):
        if truth is not None and truth is not taken:
            continue
        start = way if truth is not None else replace(way, tests=(*way.tests, line.test))
        if isinstance(line.orelse, cst.If) and not taken:
            more = _branch(start, line.orelse, decide)
        else:
            otherwise = None if line.orelse is None or isinstance(line.orelse, cst.If) else line.orelse.body
            more = _through([start], line.body if taken else otherwise, decide)
        if more is None:
            return None
        found += more
    return found
