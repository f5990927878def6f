"""What can be told of shapes from the methods that make them."""

import libcst as cst

from crossentropy.doctor._convert._script import Script
from crossentropy.doctor._convert._tree import is_literal, literal

_RESHAPING = frozenset(
    [
        *("squeeze", "unsqueeze", "view", "reshape", "flatten", "view_as", "reshape_as", "contiguous"),
        *("transpose", "permute", "t", "expand", "expand_as"),
    ]
)
_CLASSES_TO_ONE: dict[str, tuple[object, ...]] = {
    "permute": ((0, 2, 1), (1, 2, 0), (0, 3, 1, 2), (0, 4, 1, 2, 3)),
    "movedim": ((-1, 1),),
    "moveaxis": ((-1, 1),),
    "transpose": ((1, 2), (2, 1)),
}
"""Methods that move the classes to axis 1. transpose does so for three axes, the only number for which it can."""


def reshaped(script: Script, node: cst.BaseExpression) -> cst.BaseExpression:
    """The outermost expression that changes the shape of one and none of its values."""
    while (method := script.method_call(node)) is not None and method[0] in _RESHAPING:
        node = method[1]
    return node


def before_reshaping(node: cst.BaseExpression) -> cst.BaseExpression:
    """The innermost expression of which another changes the shape and none of its values."""
    while isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute) and node.func.attr.value in _RESHAPING:
        node = node.func.value
    return node


def laid_out(script: Script, node: cst.BaseExpression) -> cst.BaseExpression:
    """The outermost expression that brings the last axis of one to where a loss reads its classes."""
    while (method := script.method_call(node)) is not None and _lays_out(method[1]):
        node = method[1]
    return node


def before_laying_out(node: cst.BaseExpression) -> cst.BaseExpression:
    """The innermost expression of which another brings the last axis to where a loss reads its classes."""
    while isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute) and _lays_out(node):
        node = node.func.value
    return node


def _lays_out(node: cst.BaseExpression) -> bool:
    found = method_of(node)
    return found is not None and (found[0] == "contiguous" or is_rows(found[0], found[2]) or moves_classes(found))


def moves_classes(found: tuple[str, cst.BaseExpression, tuple[object, ...]]) -> bool:
    """Whether a method moves the last axis to axis 1."""
    return found[2] in _CLASSES_TO_ONE.get(found[0], ())


def method_of(node: cst.BaseExpression) -> tuple[str, cst.BaseExpression, tuple[object, ...]] | None:
    """Name, receiver and arguments of a method call; an argument that is no literal counts as None."""
    if not isinstance(node, cst.Call) or not isinstance(node.func, cst.Attribute):
        return None
    values = tuple(literal(argument) if is_literal(argument.value) else None for argument in node.args)
    return node.func.attr.value, node.func.value, values


def is_rows(method: str, arguments: tuple[object, ...]) -> bool:
    """Whether a method lays all axes but the last on one: view(-1, C), flatten(0, 1)."""
    if method == "flatten":
        return arguments in ((0, 1), (0, -2))
    return method in ("view", "reshape") and len(arguments) == 2 and arguments[0] == -1


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
