"""Loops over the parts of one step: the losses that such a loop adds up are not kept over steps."""

from __future__ import annotations

import ast
from collections.abc import Iterator

_LOOPS = (ast.For, ast.AsyncFor, ast.While)


def mark(loop: ast.For | ast.AsyncFor | ast.While) -> None:
    """Mark the sums that are set to zero in each turn of a loop, and are of the parts of that turn's step."""
    if not hasattr(loop, "_marked"):
        loop._marked = True  # type: ignore[attr-defined]
        for node in _sums(loop):
            node._of_one_step = True  # type: ignore[attr-defined]


def is_of_one_step(node: ast.AugAssign) -> bool:
    """Whether what is added up belongs to one step."""
    return getattr(node, "_of_one_step", False)


def _sums(loop: ast.For | ast.AsyncFor | ast.While) -> Iterator[ast.AugAssign]:
    inner = [node for node in loop.body if isinstance(node, _LOOPS)]
    own = [node for node in loop.body if not isinstance(node, _LOOPS)]
    zeros = {
        target.id
        for node in own
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    begins = any(_zeroed(part) for node in own for part in ast.walk(node))
    for parts in inner if zeros else ():
        zeroed = [owner for part in ast.walk(parts) if (owner := _zeroed(part))]
        if (all(_is_one_of_several(owner, parts) for owner in zeroed) if zeroed else begins) and not _is_nested(parts):
            yield from (node for node in ast.walk(parts) if isinstance(node, ast.AugAssign) and _name(node) in zeros)


def _is_nested(loop: ast.stmt) -> bool:
    return any(isinstance(node, _LOOPS) for node in ast.walk(loop) if node is not loop)


def _name(node: ast.AugAssign) -> str:
    return node.target.id if isinstance(node.target, ast.Name) else ""


def _zeroed(node: ast.AST) -> ast.expr | None:
    """The model or the optimizer whose gradients a call sets to zero."""
    is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "zero_grad"
    return node.func.value if is_call else None


def _is_one_of_several(owner: ast.expr, loop: ast.stmt) -> bool:
    """Whether each turn of a loop has another model or optimizer."""
    target = loop.target if isinstance(loop, (ast.For, ast.AsyncFor)) else None
    names = {node.id for node in ast.walk(target) if isinstance(node, ast.Name)} if target is not None else set()
    return any(isinstance(node, ast.Name) and node.id in names for node in ast.walk(owner))
