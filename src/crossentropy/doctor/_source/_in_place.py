"""Calls that change a tensor in place: which expression holds what they make.

x.relu_(), torch.relu_(x), F.relu(x, inplace=True) and nn.ReLU(inplace=True)(x) all change x, whatever becomes of
their value.
"""

from __future__ import annotations

import ast
import re

from crossentropy.doctor._knowledge._binding import SIGNATURES, bound
from crossentropy.doctor._source._names import canonical
from crossentropy.doctor._source._values import Bound, Call, External, Layer, Tensor, Unknown, Value

_LOSS = re.compile(r"loss|cost|^err", re.IGNORECASE)


def changed(node: ast.Call, function: Value, call: Call) -> tuple[ast.expr, Value] | None:
    """The expression whose tensor a call changes, and the tensor as it was."""
    if isinstance(function, Bound):
        if isinstance(function.owner, (Tensor, Unknown)) and isinstance(node.func, ast.Attribute):
            return (node.func.value, function.owner) if _is_marked(node.func.attr) else None
    elif (isinstance(function, External) and _function(function, call)) or (
        isinstance(function, Layer) and _layer(function)
    ):
        return _first(node, call)
    return None


def is_unknown_loss(node: ast.expr, value: Value) -> bool:
    """Whether an expression is a loss by its name, and of none of torch's losses, as far as is known."""
    if isinstance(node, ast.Subscript):  # losses["all"] or outputs["loss"]
        return is_unknown_loss(node.value, value) or is_unknown_loss(node.slice, value)
    text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else text
    unknown = isinstance(value, Unknown) or (isinstance(value, Tensor) and not value.parts and value.graph is not False)
    return unknown and _LOSS.search(name) is not None


def _is_marked(name: str) -> bool:
    return name.endswith("_") and not name.startswith("_")


def _function(function: External, call: Call) -> bool:
    package, _, name = canonical(function.name).rpartition(".")
    if package in ("torch", "torch.nn.functional", "torch.nn.init") and _is_marked(name):
        return True
    return package == "torch.nn.functional" and _works_in_place(f"{package}.{name}", call)


def _layer(layer: Layer) -> bool:
    return _works_in_place(f"torch.nn.{layer.kind}", layer.call)


def _works_in_place(name: str, call: Call) -> bool:
    return "inplace" in SIGNATURES.get(name, ()) and bound(name, call.args, call.kwargs).get("inplace") is True


def _first(node: ast.Call, call: Call) -> tuple[ast.expr, Value] | None:
    """The first argument, if it is given as one expression."""
    if node.args and call.args and not isinstance(node.args[0], ast.Starred):
        return node.args[0], call.args[0]
    named = {keyword.arg: keyword.value for keyword in node.keywords}
    return next(((named[name], call.kwargs[name]) for name in ("input", "tensor") if name in named), None)
