"""Masks of padding, which set a loss to zero at positions that its mean counts all the same.

loss = (F.cross_entropy(logits, labels, reduction="none") * (labels != PAD)).mean()    # .sum() / mask.sum() is meant
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from crossentropy.doctor._knowledge import _composed
from crossentropy.doctor._source._indexing import as_tensor
from crossentropy.doctor._source._report import DILUTED, MASKED, Report
from crossentropy.doctor._source._values import Padding, Place, Tensor, Unknown, Value

_POSITIONS = r"(?:attention|attn|pad|padding|token|seq|sequence|lengths?|loss)"
_MASK = re.compile(rf"(?:^|_){_POSITIONS}s?_?(?:to_)?masks?$|^masks?_{_POSITIONS}", re.IGNORECASE)
_PADDING = re.compile(r"(?:^|[^a-z])pad(?:ding)?(?![a-z])|ignore_(?:index|id|label)", re.IGNORECASE)


def factor(node: ast.expr, value: Value, loss: Value) -> Value:
    """A factor of a loss, which may be called a mask of positions."""
    tensor = as_tensor(value) if isinstance(value, (Unknown, Tensor)) else None
    if (
        tensor is None
        or not (isinstance(loss, Tensor) and loss.parts)
        or tensor.graph
        or tensor.kind
        or not any(map(_MASK.search, _names(node)))
    ):
        return value
    return tensor.to(masks=True)


def compared(node: ast.Compare, result: Value) -> Value:
    """Labels that are compared with what is called padding."""
    op, other = node.ops[0], node.comparators[0]
    if not isinstance(result, (Tensor, Unknown)) or not isinstance(op, (ast.Eq, ast.NotEq)):
        return result
    if not any(map(_PADDING.search, _names(other))):
        return result
    known = result if isinstance(result, Tensor) else Tensor(kind="binary", dtype="bool", graph=False)
    return known.to(masks=True)


def separates(op: type[ast.cmpop], left: Tensor, right: Tensor, number: Value) -> bool:
    """Whether a comparison tells padding from the rest: positions below a length, or labels that are ignored."""
    if op in (ast.Eq, ast.NotEq):
        return isinstance(number, Padding) or (type(number) is int and number == -100)
    ranges = (left.kind == "range", right.kind == "range")
    return ranges in ((True, False), (False, True)) and "constant" not in (left.kind, right.kind) and number is None


def weighed(report: Report, loss: Tensor, mask: Tensor, place: Place) -> str:
    """The reduction of a loss times a mask; of a mean, the mask leaves nothing out."""
    if not all(part.entropy for part in loss.parts):
        return loss.reduction
    if loss.reduction == "none":
        return MASKED
    if loss.shape == () and loss.reduction in ("mean", "averaged") and mask.rank != 0:
        report.tell(_composed.idle_mask(loss.reduction, loss.parts), place)
    return loss.reduction


def averaged(report: Report, loss: Tensor, axis: Value, place: Place) -> str:
    """The reduction of a mean of a loss that was set to zero at padding."""
    if axis not in (None, 1, -1):
        return loss.reduction
    report.tell(_composed.diluted(loss.parts), place)
    return DILUTED


def _names(node: ast.expr) -> Iterator[str]:
    """What a value is called: `mask` of batch["mask"].view(-1).float(), `length_mask` of length_mask(n)."""
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Attribute):
        yield node.attr
        yield from _names(node.value)
    elif isinstance(node, ast.Subscript):
        yield from _names(node.slice if isinstance(node.slice, ast.Constant) else node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.Call):
        yield from _names(node.func)
