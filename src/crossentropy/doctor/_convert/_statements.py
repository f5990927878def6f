"""Taking elements and statements out of a script, and putting statements in, with their comments left alone."""

import re
from collections.abc import Sequence

import libcst as cst

from crossentropy.doctor._convert._edits import Edit
from crossentropy.doctor._convert._script import Script
from crossentropy.doctor._convert._tree import JOINT


def enclosing(script: Script, node: cst.CSTNode) -> cst.BaseSmallStatement:
    """The small statement that a node is part of."""
    statement = node if isinstance(node, cst.BaseSmallStatement) else script.around(node, cst.BaseSmallStatement)
    assert statement is not None
    return statement


def before(script: Script, statement: cst.BaseSmallStatement, text: str) -> Edit:
    """The edit that puts a statement before another."""
    start = script.span(statement)[0]
    return Edit(start, start, text + _separator(script, statement))


def after(script: Script, statement: cst.BaseSmallStatement, text: str) -> Edit:
    """The edit that puts a statement on a line of its own after another's line, or after its semicolon."""
    end = script.span(statement)[1]
    return Edit(end, end, _separator(script, statement) + text)


def without_statement(script: Script, statement: cst.BaseSmallStatement) -> Edit:
    """The edit that takes a statement away; a comment on its line stays, and a block keeps one statement."""
    line = script.parent(statement)
    assert isinstance(line, cst.SimpleStatementLine | cst.SimpleStatementSuite)
    block = script.parent(line)
    only = isinstance(line, cst.SimpleStatementSuite) or (isinstance(block, cst.IndentedBlock) and len(block.body) == 1)
    start, end = script.span(statement)
    if len(line.body) > 1:
        return _without(script, line.body, line.body.index(statement))
    if only:
        return Edit(start, end, "pass")
    if line.trailing_whitespace.comment is not None:
        return Edit(start, script.span(line.trailing_whitespace.comment)[0])
    above = _comment_of(script, line, statement)
    return Edit(_line_start(script, start if above is None else script.span(above)[0]), _line_end(script, end))


def _comment_of(script: Script, line: cst.BaseStatement | cst.BaseSuite, statement: cst.CSTNode) -> cst.Comment | None:
    """The only comment right above a line, if it names what is called there."""
    lines = [*line.leading_lines] if isinstance(line, cst.SimpleStatementLine) else []
    comments = [one.comment for one in lines if one.comment is not None]
    value = statement.value if isinstance(statement, cst.Assign | cst.Expr) else None
    name = script.text(value.func).rpartition(".")[2] if isinstance(value, cst.Call) else ""
    if len(comments) != 1 or lines[-1].comment is None or len(name) < len("sigmoid"):
        return None
    return comments[0] if name.replace("_", "") in re.sub(r"[\W_]", "", comments[0].value.lower()) else None


def without_element(script: Script, elements: Sequence[cst.CSTNode], index: int) -> Edit:
    """The edit that takes one of several elements, parted by commas, away.

    From a line of its own that goes as well, unless a comment stays on it.
    """
    start, end = script.span(elements[index])
    comma = script.source[end:].lstrip()
    if comma.startswith(b","):
        end = len(script.source) - len(comma) + 1
    first, last = _line_start(script, start), _line_end(script, end)
    rest = script.source[end:last].strip()
    if index and not script.source[first:start].strip() and (not rest or rest.startswith(b"#")):
        return Edit(start, last - len(script.source[end:last].lstrip())) if rest else Edit(first, last)
    return _without(script, elements, index)


def _without(script: Script, elements: Sequence[cst.CSTNode], index: int) -> Edit:
    start, end = script.span(elements[index])
    if index + 1 < len(elements):
        return Edit(start, script.span(elements[index + 1])[0])
    return Edit(script.span(elements[index - 1])[1], end) if index else Edit(start, end)


def _separator(script: Script, statement: cst.BaseSmallStatement) -> str:
    """What parts a statement from others: a line end and the indentation, or a semicolon where some precede it."""
    start = script.span(statement)[0]
    indentation = script.source[_line_start(script, start) : start].decode()
    return "; " if indentation.strip() else script.file(statement).module.default_newline + indentation


def _line_start(script: Script, offset: int) -> int:
    return max(script.source.rfind(end, 0, offset) for end in (b"\n", JOINT)) + 1


def _line_end(script: Script, offset: int) -> int:
    rest = script.source[offset:].partition(JOINT)[0].partition(b"\n")
    return offset + len(rest[0] + rest[1])
