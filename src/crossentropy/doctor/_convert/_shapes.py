"""What can be told of shapes from the methods that make them."""

from collections.abc import Callable

import libcst as cst

from crossentropy.doctor._convert._script import Script
from crossentropy.doctor._convert._tree import is_literal, literal

_Moves = Callable[[cst.BaseExpression], bool]
_RESHAPING = frozenset(
    [
        *("squeeze", "unsqueeze", "view", "reshape", "flatten", "view_as", "reshape_as"),
        *("transpose", "permute", "t", "expand", "expand_as"),
    ]
)
_KEEPING = frozenset("to cuda cpu float double half contiguous clone".split())  # noqa: SIM905 (one line)
"""Methods that change neither values, but for their precision, nor axes."""
_CLASSES_TO_ONE: dict[str, tuple[object, ...]] = {
    "permute": ((0, 2, 1), (1, 2, 0), (0, 3, 1, 2), (0, 4, 1, 2, 3)),
    "movedim": ((-1, 1),),
    "moveaxis": ((-1, 1),),
    "transpose": ((1, 2), (2, 1)),
}
"""Methods that move the classes to axis 1. transpose does so for three axes, the only number for which it can."""


def kept(script: Script, node: cst.BaseExpression) -> cst.BaseExpression:
    """The outermost expression that is one on another device, or of another dtype."""
    while (method := script.method_call(node)) is not None and method[0] in _KEEPING:
        node = method[1]
    return node


def before_keeping(node: cst.BaseExpression) -> cst.BaseExpression:
    """The innermost expression that another is, on another device, or of another dtype."""
    while (found := method_of(node)) is not None and found[0] in _KEEPING:
        node = found[1]
    return node


def selects_rows(node: cst.CSTNode) -> bool:
    """Whether an expression takes some of the first axis: by a slice, a mask, or indices."""
    if not isinstance(node, cst.Subscript) or len(node.slice) != 1:
        return False
    taken = node.slice[0].slice
    return isinstance(taken, cst.Slice) or (isinstance(taken, cst.Index) and not is_literal(taken.value))


def reshaped(script: Script, node: cst.BaseExpression) -> cst.BaseExpression:
    """The outermost expression that changes the shape of one, or takes rows of it, and changes none of its values."""
    return _outermost(script, node, _reshapes)


def before_reshaping(node: cst.BaseExpression) -> cst.BaseExpression:
    """The innermost expression of which another is the same with another shape, or rows of it."""
    return _innermost(node, _reshapes)


def laid_out(script: Script, node: cst.BaseExpression) -> cst.BaseExpression:
    """The outermost expression that brings the last axis of one, or of its rows, to where a loss reads its classes."""
    return _outermost(script, node, _lays_out)


def before_laying_out(node: cst.BaseExpression) -> cst.BaseExpression:
    """The innermost expression of which another brings the last axis to where a loss reads its classes."""
    return _innermost(node, _lays_out)


def _outermost(script: Script, node: cst.BaseExpression, moves: _Moves) -> cst.BaseExpression:
    while True:
        method, parent = script.method_call(node), script.parent(node)
        if method is not None and moves(method[1]):
            node = method[1]
        elif isinstance(parent, cst.Subscript) and parent.value is node and selects_rows(parent):
            node = parent
        else:
            return node


def _innermost(node: cst.BaseExpression, moves: _Moves) -> cst.BaseExpression:
    while True:
        if isinstance(node, cst.Subscript) and selects_rows(node):
            node = node.value
        elif isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute) and moves(node):
            node = node.func.value
        else:
            return node


def is_laid_out(node: cst.BaseExpression) -> bool:
    """Whether an expression moves axes of another, or lays them together, and does not only take rows of it."""
    inner = before_laying_out(node)
    node = before_keeping(node)
    while isinstance(node, cst.Subscript) and node is not inner:
        node = before_keeping(node.value)
    return node is not inner


def _reshapes(node: cst.BaseExpression) -> bool:
    found = method_of(node)
    return found is not None and found[0] in _RESHAPING | _KEEPING


def _lays_out(node: cst.BaseExpression) -> bool:
    found = method_of(node)
    return found is not None and (found[0] in _KEEPING or is_rows(found[0], found[2]) or moves_classes(found))


def moves_classes(found: tuple[str, cst.BaseExpression, tuple[object, ...]]) -> bool:
    """Whether a method moves the last axis to axis 1."""
    return found[2] in _CLASSES_TO_ONE.get(found[0], ())


def permutes(node: cst.BaseExpression) -> bool:
    """Whether an expression moves the last axis of what it is made of, and does not only lay others on one."""
    found = method_of(node)
    return found is not None and (moves_classes(found) or permutes(found[1]))


def method_of(node: cst.BaseExpression) -> tuple[str, cst.BaseExpression, tuple[object, ...]] | None:
    """Name, receiver and arguments of a method call; an argument that is no literal counts as None."""
    if not isinstance(node, cst.Call) or not isinstance(node.func, cst.Attribute):
        return None
    values = tuple(literal(argument) if is_literal(argument.value) else None for argument in node.args)
    return node.func.attr.value, node.func.value, values


def is_rows(method: str, arguments: tuple[object, ...]) -> bool:
    """Whether a method lays all axes but the last on one: view(-1, C), flatten(0, 1), or view(1, C) of one row."""
    if method == "flatten":
        return arguments in ((0, 1), (0, -2))
    return method in ("view", "reshape", "resize") and len(arguments) == 2 and arguments[0] in (-1, 1)


def is_matrix(node: cst.BaseExpression) -> bool:
    """Whether an expression is certain to have two axes."""
    found = method_of(node)
    return found is not None and found[0] in ("view", "reshape") and len(found[2]) == 2


def unflattened(node: cst.BaseExpression) -> cst.BaseExpression | None:
    """What was laid on one axis, by flatten() or view(-1)."""
    found = method_of(node)
    if found is None:
        return None
    method, receiver, arguments = found
    flat = arguments in ((), (0, 1)) if method == "flatten" else method in ("view", "reshape") and arguments == (-1,)
    return receiver if flat else None
