"""What a class decides by the settings of one of its objects: its arguments, and what __init__ makes of them.

Known are literals, defaults that are literals, and attributes that __init__ alone assigns from such.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import libcst as cst

from crossentropy.doctor._convert._functions import method, parameter_of
from crossentropy.doctor._convert._script import Script, Variable
from crossentropy.doctor._convert._tree import is_literal, literal

_COMPARISONS: dict[type[cst.BaseCompOp], Callable[[Any, Any], object]] = {
    cst.Equal: lambda a, b: a == b,
    cst.NotEqual: lambda a, b: a != b,
    cst.Is: lambda a, b: a is b,
    cst.IsNot: lambda a, b: a is not b,
    cst.In: lambda a, b: a in b,
    cst.NotIn: lambda a, b: a not in b,
    cst.LessThan: lambda a, b: a < b,
    cst.GreaterThan: lambda a, b: a > b,
    cst.LessThanEqual: lambda a, b: a <= b,
    cst.GreaterThanEqual: lambda a, b: a >= b,
}


class UnknownError(Exception):
    """A value that is known only when the script runs."""


class Options:
    """The settings of one object of a class."""

    def __init__(self, script: Script, owner: cst.ClassDef, made: cst.Call | None) -> None:
        self._script = script
        self._owner = owner
        self._made = made
        self._init = method(owner, "__init__")
        self._open: set[str] = set()

    def truth(self, test: cst.BaseExpression) -> bool | None:
        """Whether a test holds for the object; None if that is not known."""
        try:
            return self._truth(test)
        except (UnknownError, TypeError):
            return None

    def attribute(self, name: str) -> cst.BaseExpression | None:
        """The expression that __init__ assigns to an attribute of this object; None if that is not known."""
        try:
            return self._chosen(self._assigned(name))
        except UnknownError:
            return None

    def _truth(self, test: cst.BaseExpression) -> bool:
        if isinstance(test, cst.BooleanOperation):
            left = self.truth(test.left)
            decisive = isinstance(test.operator, cst.Or)
            if left is decisive or self.truth(test.right) is decisive:
                return decisive
            return self._truth(test.left) if left is None else self._truth(test.right)
        if isinstance(test, cst.UnaryOperation) and isinstance(test.operator, cst.Not):
            return not self._truth(test.expression)
        if isinstance(test, cst.Comparison) and len(test.comparisons) == 1:
            compare = _COMPARISONS[type(test.comparisons[0].operator)]
            return bool(compare(self._value(test.left), self._value(test.comparisons[0].comparator)))
        return bool(self._value(test))

    def _value(self, node: cst.BaseExpression) -> object:
        """The value of an expression; that of a call that makes a module is the call, which is no None and true."""
        node = self._chosen(node)
        if is_literal(node):
            return literal(node)
        if isinstance(node, cst.Call) and (self._script.imported(node.func) or "").startswith("torch.nn."):
            return node
        raise UnknownError

    def _chosen(self, node: cst.BaseExpression) -> cst.BaseExpression:
        """What an expression stands for, by the settings."""
        if isinstance(node, cst.IfExp):
            return self._chosen(node.body if self._truth(node.test) else node.orelse)
        if isinstance(node, cst.Name):
            return self._argument(node)
        if isinstance(node, cst.Attribute) and self._script.text(node.value) == "self":
            return self._chosen(self._assigned(node.attr.value))
        if isinstance(node, cst.Subscript) and isinstance(node.value, cst.Dict):
            return self._chosen(self._entry(node.value, node))
        return node

    def _entry(self, entries: cst.Dict, subscript: cst.Subscript) -> cst.BaseExpression:
        index = subscript.slice[0].slice
        key = self._value(index.value) if isinstance(index, cst.Index) else None
        for element in entries.elements:
            if isinstance(element, cst.DictElement) and is_literal(element.key) and literal(element.key) == key:
                return element.value
        raise UnknownError

    def _argument(self, name: cst.Name) -> cst.BaseExpression:
        """What a parameter of __init__ was given."""
        function = self._script.around(name, cst.FunctionDef)
        if function is None or function is not self._init or name.value in ("True", "False", "None"):
            return name
        if len(self._script.bindings(Variable(self._script.scope(name), name.value))) != 1:
            raise UnknownError
        call = self._made
        if call is not None:
            if any(argument.star for argument in call.args):
                raise UnknownError
            for argument in call.args:
                if parameter_of(function, call, argument) == name.value:
                    return self._known(argument.value)
        parameters = (*function.params.params, *function.params.kwonly_params)
        default = next((one.default for one in parameters if one.name.value == name.value), None)
        if default is None:
            raise UnknownError
        return self._known(default)

    def _known(self, node: cst.BaseExpression) -> cst.BaseExpression:
        if not is_literal(node) and not (self._script.imported(node) or "").startswith("torch."):
            made = isinstance(node, cst.Call) and (self._script.imported(node.func) or "").startswith("torch.nn.")
            if not made:
                raise UnknownError
        return node

    def _assigned(self, name: str) -> cst.BaseExpression:
        """What __init__ assigns to an attribute at last, if nobody else assigns it."""
        if name in self._open or self._init is None:
            raise UnknownError
        inside = set(self._script.inside(self._init))
        stored = [node for node in self._script.attributes(name) if self._is_target(node)]
        if not stored or any(node not in inside and not self._is_of_another(node) for node in stored):
            raise UnknownError
        self._open.add(name)
        try:
            found = None
            for statement in self._decided(self._init.body.body):
                value = _value_for(statement, name)
                if value is not None:
                    found = value
                elif any(node in set(self._script.inside(statement)) for node in stored):
                    raise UnknownError
        finally:
            self._open.discard(name)
        if found is None:
            raise UnknownError
        return found

    def _is_target(self, node: cst.Attribute) -> bool:
        return isinstance(self._script.parent(node), cst.AssignTarget | cst.AugAssign | cst.AnnAssign | cst.Element)

    def _is_of_another(self, node: cst.Attribute) -> bool:
        """Whether an attribute is of self in another class."""
        owner = self._script.around(node, cst.ClassDef)
        return self._script.text(node.value) == "self" and owner is not None and owner is not self._owner

    def _decided(self, body: Sequence[cst.CSTNode]) -> Iterator[cst.CSTNode]:
        """The statements that run, as far as the settings decide; what they do not is one statement."""
        for line in body:
            if isinstance(line, cst.If) and (truth := self.truth(line.test)) is not None:
                branch = line.body if truth else line.orelse
                inner = branch.body if isinstance(branch, cst.Else) else branch
                yield from self._decided(
                    inner.body if isinstance(inner, cst.IndentedBlock) else [inner] if inner else []
                )
            elif isinstance(line, cst.SimpleStatementLine | cst.SimpleStatementSuite):
                yield from line.body
            else:
                yield line


def _value_for(statement: cst.CSTNode, name: str) -> cst.BaseExpression | None:
    """What a statement assigns to an attribute of self, if it does no more."""
    if not isinstance(statement, cst.Assign) or len(statement.targets) != 1:
        return None
    target = statement.targets[0].target
    mine = isinstance(target, cst.Attribute) and isinstance(target.value, cst.Name) and target.value.value == "self"
    return statement.value if mine and isinstance(target, cst.Attribute) and target.attr.value == name else None
