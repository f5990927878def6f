"""Loops over the parts of one step: the losses that such a loop adds up are not kept over steps."""

from __future__ import annotations

import ast
from typing import TypeAlias

Loop: TypeAlias = "ast.For | ast.AsyncFor | ast.While"
_LOOPS = (ast.For, ast.AsyncFor, ast.While)


def mark(loop: Loop) -> None:
    """Mark the sums that each turn of a loop sets to zero, and that are of the parts of this turn's step."""
    if hasattr(loop, "_marked"):
        return
    loop._marked = True  # type: ignore[union-attr]
    parts = [part for node in loop.body if not isinstance(node, _LOOPS) for part in ast.walk(node)]
    set_to = [part for part in parts if isinstance(part, ast.Assign) and isinstance(part.value, ast.Constant)]
    zeros = {target.id for part in set_to for target in part.targets if isinstance(target, ast.Name)}
    for inner in loop.body if zeros else ():
        nodes = list(ast.walk(inner))
        if isinstance(inner, _LOOPS) and sum(isinstance(node, _LOOPS) for node in nodes) == 1:
            within = _zeroed(nodes)
            if all(_is_of_turn(owner, inner) for owner in within) if within else _zeroed(parts):
                for node in nodes:
                    if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
                        node._of_one_step = node.target.id in zeros  # type: ignore[attr-defined]


def is_of_one_step(node: ast.AugAssign) -> bool:
    """Whether what is added up belongs to one step."""
    return getattr(node, "_of_one_step", False)


def _zeroed(nodes: list[ast.AST]) -> list[ast.expr]:
    """The models and optimizers whose gradients are set to zero."""
    methods = [node.func for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    return [method.value for method in methods if method.attr == "zero_grad"]


def _is_of_turn(owner: ast.expr, loop: Loop) -> bool:
    """Whether each turn of a loop has another one."""
    return not isinstance(loop, ast.While) and not _names(owner).isdisjoint(_names(loop.target))


def _names(node: ast.expr) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
