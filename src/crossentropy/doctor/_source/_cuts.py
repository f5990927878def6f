"""Terms of losses that have no graph, which shows in how they are written where it is not known what they are made of.

torch.tensor(losses)                            # new numbers
distance(features.detach(), centres.detach())   # of nothing that is trained
def gradient_loss(pred, image): edges(pred.argmax(1)) …    # which is all that it takes of the prediction
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from crossentropy.doctor._source._report import Report
from crossentropy.doctor._source._roles import is_given, is_prediction
from crossentropy.doctor._source._values import Function, Number, Place, Tensor, Unknown, Value

_LOSS = re.compile(r"loss(?!es_to|_fn|_func)", re.IGNORECASE)
_LOSSES = re.compile(r"loss(?:es)?$", re.IGNORECASE)
_ANEW = ("tensor", "Tensor", "FloatTensor")
_CUTS = ("argmax", "detach", "item", "tolist", "numpy", "round", "sign")
_NEUTRAL = ("size", "shape", "device", "dtype", "dim", "ndim", "is_cuda")


def of_call(report: Report, node: ast.Call, given: list[Value], result: Value, place: Place) -> Value:
    """What a call gives, without a graph where it can have none."""
    name = _last(node.func)
    if name in _ANEW and len(node.args) == 1 and isinstance(result, Tensor):
        return (
            result.to(cut=place, likely=True) if result.cut is None and _are_losses(node.args[0], given[0]) else result
        )
    tensor = result if isinstance(result, Tensor) else Tensor() if isinstance(result, Unknown) else None
    if tensor is None or tensor.graph or tensor.cut is not None or not _LOSS.search(name):
        return result
    first = node.args[0] if node.args else None
    if not isinstance(first, ast.Call) or _last(first.func) != "detach" or not all(map(_is_cut, node.args)):
        return result
    return _loss(report, tensor, place)


def of_function(report: Report, function: Function, result: Value) -> Value:
    """What a loss gives back that takes nothing but the classes of the prediction."""
    tensor = result if isinstance(result, Tensor) else Tensor() if isinstance(result, Unknown) else None
    if (
        tensor is None
        or tensor.graph
        or tensor.parts
        or tensor.cut is not None
        or isinstance(function.node, ast.Lambda)
    ):
        return result
    owner = function.owner.name if function.owner is not None and function.name in ("forward", "__call__") else ""
    if not _LOSS.search(owner or function.name):
        return result
    node = _cut_of(function.node)
    return result if node is None else _loss(report, tensor, function.module.source.place(node))


def _loss(report: Report, value: Tensor, cut: Place) -> Tensor:
    """A loss by its name that has lost its graph."""
    part = report.part(cut, None, uneven=False)
    return value.to(kind="loss", graph=False, cut=cut, shape=(), likely=True, parts=frozenset({part}))


def _are_losses(node: ast.expr, value: Value) -> bool:
    """Whether a list holds losses by its name, and not what was read from them."""
    if not isinstance(value, list) or not isinstance(node, ast.Name) or not _LOSSES.search(node.id):
        return False
    held = [getattr(item, "value", item) for item in value]
    return bool(held) and all(isinstance(item, Unknown) or (isinstance(item, Tensor) and item.graph is not False)
                              for item in held if not isinstance(item, Number))  # fmt: skip


def _is_cut(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) or (isinstance(node, ast.Call) and _last(node.func) == "detach")


def _cut_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.expr | None:
    """Where the prediction of a function loses its graph before anything else is done with it."""
    names = [argument.arg for argument in function.args.args if argument.arg != "self"]
    predictions = [name for name in names if is_prediction(name)]
    if len(predictions) != 1 or not all(is_given(name) for name in names if name not in predictions):
        return None
    uses = list(_uses(function, predictions[0]))
    cuts = [cut for cut in uses if cut is not None]
    return cuts[0] if cuts and len(cuts) == len(uses) else None


def _uses(function: ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> Iterator[ast.Call | None]:
    """For each use of the numbers of an argument, what cuts them off there; up to where its name gets another value."""
    for statement in function.body:
        for node, above in _with_parents(statement):
            if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load):
                neutral = any(isinstance(part, ast.Attribute) and part.attr in _NEUTRAL for part in above)
                if not neutral:
                    calls = (part for part in reversed(above) if isinstance(part, ast.Call))
                    yield next((call for call in calls if _last(call.func) in _CUTS), None)
        if isinstance(statement, ast.Assign) and any(
            isinstance(x, ast.Name) and x.id == name for x in statement.targets
        ):
            return


def _with_parents(node: ast.AST, above: tuple[ast.AST, ...] = ()) -> Iterator[tuple[ast.AST, tuple[ast.AST, ...]]]:
    yield node, above
    for child in ast.iter_child_nodes(node):
        yield from _with_parents(child, (*above, node))


def _last(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
