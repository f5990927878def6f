"""One-hot targets of a cross entropy become class indices, and targets lose an axis that is certainly too much."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import libcst as cst

from crossentropy.doctor._convert._edits import Proposal, Refused, attempt
from crossentropy.doctor._convert._flow import Objects
from crossentropy.doctor._convert._losses import Loss, Site, losses, readable_sites, settings
from crossentropy.doctor._convert._script import Script
from crossentropy.doctor._convert._shapes import is_matrix, method_of, moves_classes
from crossentropy.doctor._convert._sources import Unwrapping, source

_NAMES = ("torch.nn.functional.cross_entropy", "torch.nn.CrossEntropyLoss")
_MADE = "torch.nn.functional.one_hot"
_FLOATS = frozenset(["torch.float", "torch.float16", "torch.float32", "torch.float64", "torch.double", "torch.half"])
_TO_FLOAT = frozenset(["float", "double", "half", "bfloat16"])
_CONVERSIONS = frozenset(["to", "type"])


@dataclass(frozen=True)
class OneHot:
    """Rows that hold a one at the class and zeros elsewhere."""

    indices: cst.BaseExpression
    """What they were made of."""
    floating: bool
    """Whether they were made floating, as class probabilities have to be."""
    moved: bool
    """Whether their classes were moved to axis 1."""


def propose(script: Script, objects: Objects) -> Iterator[Proposal | Refused]:
    """The rewrites of all targets of a cross entropy."""
    for loss in losses(script, objects, *_NAMES):
        for at in readable_sites(script, loss):
            yield from attempt(partial(_proposal, script, loss, at), "one-hot-target")


def _proposal(script: Script, loss: Loss, at: Site) -> Proposal | None:
    return _from_one_hot(script, loss, at) or _from_column(script, at)


def _from_one_hot(script: Script, loss: Loss, at: Site) -> Proposal | None:
    found = source(script, at.target)
    rows = one_hot(script, found.value)
    if rows is None:
        return None
    for name in ("weight", "ignore_index"):
        if name in settings(script, loss):
            raise Refused(at.target, f"{name}= means something else for class indices than for these one-hot rows")
    unwrapping = Unwrapping(script, "indices")
    unwrapping.unwrap(at.target, found, rows.indices)
    return Proposal(at.call, "one-hot-target", _effect(rows), tuple(unwrapping.edits()), rows.floating)


def _effect(rows: OneHot) -> str:
    if rows.floating:
        return "same value: the class indices that the one-hot rows were made of"
    return "the loss changes: cross_entropy takes no integer rows, but the class indices that they were made of"


def _from_column(script: Script, at: Site) -> Proposal | None:
    """y.unsqueeze(1) beside logits of two axes, which cross_entropy never takes."""
    method = method_of(at.target)
    if method is None or method[0] != "unsqueeze" or method[2] not in ((1,), (-1,)) or not is_matrix(at.input):
        return None
    edit = script.replace(at.target, method[1])
    effect = "the loss changes: there is one where cross_entropy raised an error, for targets with an axis too many"
    return Proposal(at.call, "target-extra-dim", effect, (edit,), safe=False)


def one_hot(script: Script, node: cst.BaseExpression) -> OneHot | None:
    """The one-hot rows that an expression makes."""
    if not isinstance(node, cst.Call):
        return None
    if script.imported(node.func) == _MADE:
        arguments = script.arguments(node, ("tensor", "num_classes"))
        found = arguments.get("tensor", arguments.get("input"))
        return OneHot(found.value, False, False) if found is not None else None
    if not isinstance(node.func, cst.Attribute):
        return None
    inner = one_hot(script, node.func.value)
    return inner and _after(script, inner, node, node.func.attr.value)


def _after(script: Script, rows: OneHot, call: cst.Call, method: str) -> OneHot | None:
    """The rows after a method of them, if they stay one-hot."""
    values = [argument.value for argument in call.args]
    if method in _TO_FLOAT:
        return OneHot(rows.indices, True, rows.moved)
    if method in _CONVERSIONS and values:
        return OneHot(rows.indices, rows.floating or _is_float(script, values[-1]), rows.moved)
    if (found := method_of(call)) is not None and moves_classes(found) and not rows.moved:
        return OneHot(rows.indices, rows.floating, True)
    return rows if method in ("contiguous", "clone", "detach") else None


def _is_float(script: Script, node: cst.BaseExpression) -> bool:
    """Whether an argument of `to` is a floating dtype: by its name, or that of a tensor that enters the loss."""
    return script.imported(node) in _FLOATS or (isinstance(node, cst.Attribute) and node.attr.value == "dtype")
