"""What `forward` returns on each way through it: the expression that makes the result, or one part of it."""

from collections.abc import Iterator
from dataclasses import dataclass

import libcst as cst

from crossentropy.doctor._convert._options import Options
from crossentropy.doctor._convert._reach import Definition, definition
from crossentropy.doctor._convert._script import Script
from crossentropy.doctor._convert._sources import Source
from crossentropy.doctor._convert._tree import is_literal, literal
from crossentropy.doctor._convert._uses import Part, part_of
from crossentropy.doctor._convert._ways import Way, binding, ways


@dataclass(frozen=True)
class Returned:
    """A result on one way."""

    value: cst.BaseExpression
    """The expression that makes it."""
    argument: cst.BaseExpression
    """The expression in the return statement, or the entry of what is returned."""
    tests: tuple[cst.BaseExpression, ...]
    way: cst.CSTNode
    """The return statement."""
    statement: cst.Assign | None = None
    """The assignment of the value, if the argument is a name."""
    definition: Definition | None = None
    """The same, if it is certain for all uses of the name."""
    used_between: bool = False
    """Whether the name is used for more than the result on this way."""

    @property
    def name(self) -> str:
        """The name, if the argument is one."""
        return self.argument.value if isinstance(self.argument, cst.Name) else ""

    @property
    def source(self) -> Source:
        """The result as an argument whose source is known."""
        return Source(self.value, self.definition)


def returned(script: Script, function: cst.FunctionDef, options: Options, part: Part) -> list[Returned] | None:
    """The results on all ways; None if one of them has no such part, or it cannot be seen."""
    found = ways(function, options.truth)
    if found is None:
        return None
    results: list[Returned] = []
    for way in found:
        at = len(way.statements) - 1
        place = _place(script, way, way.result, at, part)
        if place is None:
            return None
        argument, index = place
        results += _results(script, options, way, argument, index)
    return results


def _results(
    script: Script, options: Options, way: Way, argument: cst.BaseExpression, index: int
) -> Iterator[Returned]:
    """The results that an expression gives; two for `a if test else b`, where the test is not known."""
    if isinstance(argument, cst.IfExp):
        truth = options.truth(argument.test)
        branches = (argument.body, argument.orelse) if truth is None else (argument.body if truth else argument.orelse,)
        tests = (argument.test,) if truth is None else ()
        for branch in branches:
            for one in _results(script, options, way, branch, index):
                yield Returned(
                    one.value,
                    one.argument,
                    (*one.tests, *tests),
                    one.way,
                    one.statement,
                    one.definition,
                    one.used_between,
                )
        return
    last = way.statements[-1]
    plain = Returned(argument, argument, way.tests, last)
    bound = binding(script, way, argument.value, index) if isinstance(argument, cst.Name) else None
    if not isinstance(argument, cst.Name) or bound is None:
        yield plain
        return
    at, statement = bound
    if not isinstance(statement, cst.Assign) or not _assigns(statement, argument.value):
        yield plain
        return
    certain = definition(script, argument)
    if certain is not None and certain.statement is not statement:
        certain = None
    names = [
        node
        for later in way.statements[at + 1 :]
        for node in script.inside(later)
        if isinstance(node, cst.Name) and node.value == argument.value and node is not argument
    ]
    used = any(_is_value(script, node) for node in names)
    yield Returned(statement.value, argument, way.tests, last, statement, certain, used)


def _is_value(script: Script, node: cst.Name) -> bool:
    """Whether a name is a variable here, and no attribute or keyword."""
    parent = script.parent(node)
    if isinstance(parent, cst.Attribute):
        return parent.value is node
    return not (isinstance(parent, cst.Arg) and parent.keyword is node)


def _assigns(statement: cst.Assign, name: str) -> bool:
    target = statement.targets[0].target
    return len(statement.targets) == 1 and isinstance(target, cst.Name) and target.value == name


def _place(
    script: Script, way: Way, value: cst.BaseExpression | None, before: int, part: Part
) -> tuple[cst.BaseExpression, int] | None:
    """The expression that is a part of a value, and the statement that it is in."""
    if value is None:
        return None
    if part is None:
        return None if isinstance(value, cst.Tuple | cst.Dict) else (value, before)
    if isinstance(value, cst.Tuple | cst.List) and isinstance(part, int):
        elements = value.elements
        plain = -len(elements) <= part < len(elements) and not any(
            isinstance(one, cst.StarredElement) for one in elements
        )
        return (elements[part].value, before) if plain else None
    if isinstance(value, cst.Dict):
        return _entry(value, part, before)
    if isinstance(value, cst.Call) and script.text(value.func) == "dict":
        given = [one.value for one in value.args if one.keyword is not None and one.keyword.value == part]
        return (given[0], before) if given else None
    if isinstance(value, cst.Name):
        return _of_name(script, way, value, before, part)
    return None


def _entry(value: cst.Dict, part: int | str, before: int) -> tuple[cst.BaseExpression, int] | None:
    for element in reversed(value.elements):
        if not isinstance(element, cst.DictElement) or not is_literal(element.key):
            return None
        if literal(element.key) == part:
            return element.value, before
    return None


def _of_name(
    script: Script, way: Way, name: cst.Name, before: int, part: int | str
) -> tuple[cst.BaseExpression, int] | None:
    """A part of what a name holds: assigned with the whole, or by itself after that."""
    at, statement = binding(script, way, name.value, before) or (0, None)
    if not isinstance(statement, cst.Assign) or len(statement.targets) != 1:
        return None
    target = statement.targets[0].target
    if isinstance(target, cst.Name):
        return _place(script, way, statement.value, at, part)
    if isinstance(target, cst.Subscript) and target.value.deep_equals(name):
        key = part_of(target)
        if key is None:
            return None
        return (statement.value, at) if key == part else _of_name(script, way, name, at, part)
    return None
