"""The files that are converted together: nodes know their place, their parent and what they say.

The files lie one after the other in one text, so that an edit is a span of it and a rewrite may take several files.
"""

import ast
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain, count
from typing import NamedTuple, TypeVar, cast

import libcst as cst
from libcst.metadata import Scope

from crossentropy.doctor._convert._edits import Edit, Refused
from crossentropy.doctor._convert._file import File

_Node = TypeVar("_Node", bound=cst.CSTNode)
_ATOMS = (cst.Name, cst.Attribute, cst.Call, cst.Subscript, cst.Integer, cst.Float, cst.List, cst.Tuple, cst.Dict)
JOINT = b"\0"
"""What parts the files: a byte that no Python has."""


class Place(NamedTuple):
    """A place in one of the files."""

    path: str
    line: int
    """Counted from 1."""
    column: int
    """Counted from 1."""


class Tree:
    """The files and what is known of each node by itself."""

    def __init__(self, files: Sequence[File]) -> None:
        self.files = tuple(files)
        self.source = JOINT.join(file.source for file in files)
        self.nodes = tuple(chain.from_iterable(file.nodes for file in files))
        self._of_kind: dict[type[cst.CSTNode], Sequence[cst.CSTNode]] = {}
        self._attributes: dict[str, list[cst.Attribute]] = {}
        self._selves: dict[cst.ClassDef, Sequence[cst.Name]] = {}
        self._starts = [0, *accumulate(len(file.source) + len(JOINT) for file in files)][:-1]
        self._home = {node: index for index, file in enumerate(files) for node in file.nodes}

    def find(self, kind: type[_Node]) -> Sequence[_Node]:
        """All nodes of a kind, as they stand in the source."""
        if kind not in self._of_kind:
            self._of_kind[kind] = [node for node in self.nodes if isinstance(node, kind)]
        return cast("Sequence[_Node]", self._of_kind[kind])

    def attributes(self, name: str) -> Sequence[cst.Attribute]:
        """All attributes of a name, as they stand in the source."""
        if not self._attributes:
            for node in self.find(cst.Attribute):
                self._attributes.setdefault(node.attr.value, []).append(node)
        return self._attributes.get(name, ())

    def selves(self, owner: cst.ClassDef) -> Sequence[cst.Name]:
        """The names `self` in a class, and not in one within it."""
        if owner not in self._selves:
            names = [node for node in self.inside(owner) if isinstance(node, cst.Name) and node.value == "self"]
            self._selves[owner] = [node for node in names if self.around(node, cst.ClassDef) is owner]
        return self._selves[owner]

    def file(self, node: cst.CSTNode) -> File:
        """The file of a node."""
        return self.files[self._home[node]]

    def starts(self) -> Iterator[tuple[int, File]]:
        """The files, each with where it begins in the text of all."""
        return zip(self._starts, self.files)

    # Around a node

    def parent(self, node: cst.CSTNode) -> cst.CSTNode:
        """The node that this one is a child of."""
        return self.file(node).parents[node]

    def ancestors(self, node: cst.CSTNode) -> Iterator[cst.CSTNode]:
        """The nodes around this one, from within."""
        parents = self.file(node).parents
        while node in parents:
            node = parents[node]
            yield node

    def around(self, node: cst.CSTNode, kind: type[_Node]) -> _Node | None:
        """The nearest of some kind around a node."""
        return next((outer for outer in self.ancestors(node) if isinstance(outer, kind)), None)

    def inside(self, node: cst.CSTNode) -> Sequence[cst.CSTNode]:
        """A node and all that it consists of."""
        return self.file(node).inside(node)

    def called(self, node: cst.CSTNode) -> cst.Call | None:
        """The call of which this expression is what is called."""
        parent = self.parent(node)
        return parent if isinstance(parent, cst.Call) and parent.func is node else None

    def method_call(self, receiver: cst.CSTNode) -> tuple[str, cst.Call] | None:
        """Name and call of the method that is called on this expression."""
        attribute = self.parent(receiver)
        if not isinstance(attribute, cst.Attribute) or attribute.value is not receiver:
            return None
        call = self.called(attribute)
        return None if call is None else (attribute.attr.value, call)

    # What a node says

    def span(self, node: cst.CSTNode) -> tuple[int, int]:
        """First byte and the one after the last, with the parentheses around the node."""
        file, start = self.file(node), self._starts[self._home[node]]
        span = file.spans[node]
        around = (node.lpar, node.rpar) if isinstance(node, cst.BaseExpression) else ((), ())
        left, right = (sum(len(file.module.code_for_node(one).encode()) for one in side) for side in around)
        return start + span.start - left, start + span.start + span.length + right

    def text(self, node: cst.CSTNode) -> str:
        """The source of a node, with the parentheses around it."""
        start, end = self.span(node)
        return self.source[start:end].decode()

    def quote(self, node: cst.CSTNode) -> str:
        """The quotation mark that the file of a node has more of."""
        source = self.file(node).source
        return "'" if source.count(b"'") > source.count(b'"') else '"'

    def brief(self, node: cst.CSTNode) -> str:
        """The source of a node for a message: of one line."""
        text = " ".join(self.text(node).split())
        return text if len(text) <= 40 else f"{text[:37]}..."

    def operand(self, node: cst.BaseExpression, place: cst.CSTNode) -> str:
        """The source of an expression as it can stand in the place of another."""
        text, parent = self.text(node), self.parent(place)
        alone = isinstance(node, _ATOMS) or bool(node.lpar)
        if isinstance(parent, cst.Arg) and not isinstance(node, cst.NamedExpr | cst.GeneratorExp):
            return text
        if isinstance(parent, cst.Assign | cst.AnnAssign | cst.Return) and not isinstance(node, cst.NamedExpr):
            alone = True
        return text if alone and _stands_alone(text) else f"({text})"

    def replace(self, node: cst.BaseExpression, by: cst.BaseExpression) -> Edit:
        """The edit that puts one expression in the place of another."""
        return Edit(*self.span(node), self.operand(by, node))

    def write(self, node: cst.CSTNode, text: str) -> Edit:
        """The edit that puts a text in the place of a node."""
        return Edit(*self.span(node), text)

    def place(self, offset: int) -> Place:
        """The place of a byte."""
        index = bisect_right(self._starts, offset) - 1
        before = self.source[self._starts[index] : offset]
        column = len(before[before.rfind(b"\n") + 1 :].decode()) + 1
        return Place(self.files[index].path, before.count(b"\n") + 1, column)

    def scope(self, node: cst.CSTNode) -> Scope:
        """The scope in which a node is evaluated."""
        scopes = self.file(node).scopes
        return next(scope for one in (node, *self.ancestors(node)) if (scope := scopes.get(one)) is not None)

    def fresh(self, name: str, beside: cst.Name, instead: bool) -> str:
        """A name for what is made with, or instead of, the values of another name: always the same for that name."""
        if instead and beside.value == name:
            return name
        file = self.file(beside)
        taken = file.identifiers.union(file.fresh.values())
        numbered = (f"{name}_{number}" for number in count(2))
        free = next(one for one in chain([name], numbered) if one not in taken)
        return file.fresh.setdefault((name, beside.value), free)

    def arguments(self, call: cst.Call, parameters: Sequence[str]) -> dict[str, cst.Arg]:
        """The arguments of a call by the names of the parameters they are for."""
        bound: dict[str, cst.Arg] = {}
        for index, argument in enumerate(call.args):
            if argument.star or (argument.keyword is None and index >= len(parameters)):
                raise Refused(call, "the arguments of this call cannot be told apart")
            bound[parameters[index] if argument.keyword is None else argument.keyword.value] = argument
        return bound


def literal(node: cst.CSTNode | None) -> object:
    """The value of a literal; an error of ValueError if it is none."""
    if isinstance(node, cst.Arg):
        node = node.value
    return ast.literal_eval(cst.Module([]).code_for_node(node)) if node is not None else None


def is_literal(node: cst.CSTNode) -> bool:
    """Whether an expression is a literal."""
    try:
        literal(node)
    except (ValueError, SyntaxError, TypeError):
        return False
    return True


def _stands_alone(text: str) -> bool:
    """Whether an expression needs no brackets around it to go on over its line ends."""
    try:
        return len(ast.parse(f"_ = {text}").body) == 1
    except SyntaxError:
        return False
