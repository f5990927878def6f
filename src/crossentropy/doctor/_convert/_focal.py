"""A focal loss of the mean of a cross entropy gets a factor for each row, and the mean is taken of the products.

ce = cross_entropy(z, y)              →   ce = cross_entropy(z, y, reduction="none")
loss = (1 - exp(-ce)) ** gamma * ce   →   loss = ((1 - exp(-ce)) ** gamma * ce).mean()
"""

from collections.abc import Iterator
from functools import partial

import libcst as cst

from crossentropy.doctor._convert._edits import Edit, Proposal, Refused, attempt
from crossentropy.doctor._convert._flow import Objects
from crossentropy.doctor._convert._losses import Loss, losses, setting, settings, with_setting
from crossentropy.doctor._convert._reach import Definition, defined, definition
from crossentropy.doctor._convert._script import Script

_RULE = "focal-on-reduced-loss"
_NAMES = (
    *("torch.nn.functional.cross_entropy", "torch.nn.CrossEntropyLoss", "torch.nn.functional.nll_loss"),
    *("torch.nn.NLLLoss", "torch.nn.functional.binary_cross_entropy_with_logits", "torch.nn.BCEWithLogitsLoss"),
    *("torch.nn.functional.binary_cross_entropy", "torch.nn.BCELoss"),
)
_EFFECT = "the loss changes: each row has its own focal factor, and the mean is taken of the products"
_FUNCTIONS = frozenset(["torch.exp", "torch.pow", "torch.clamp", "torch.log"])
_METHODS = frozenset(["exp", "pow", "clamp", "neg", "log", "clamp_min", "clamp_max"])
_REDUCTIONS = frozenset(["mean", "sum"])


def propose(script: Script, objects: Objects) -> Iterator[Proposal | Refused]:
    """The rewrites of all focal losses of a reduced loss."""
    for loss in losses(script, objects, *_NAMES):
        yield from attempt(partial(_proposal, script, loss), _RULE, loss.made)


def _proposal(script: Script, loss: Loss) -> Proposal | None:
    given = settings(script, loss)
    if {"size_average", "reduce"} & given.keys() or len(loss.calls) != 1:
        return None
    made = _assigned(script, loss.calls[0])
    if made is None or not any(_raises(script, use) for use in _spread(script, made)):
        return None
    if setting(script, loss, "reduction", "mean") == "none":
        return None
    if "ignore_index" in given:
        raise Refused(loss.made, "the rows of ignore_index would count in the mean of the products")
    for at, how in loss.problems:
        raise Refused(at, f"other uses of this {loss.short} cannot be seen: {how}", "What is it given there?")
    edits = [with_setting(script, loss, "reduction", "none"), *_reduced(script, made)]
    return Proposal(loss.made, _RULE, _EFFECT, tuple(dict.fromkeys(edits)), False)


def _assigned(script: Script, call: cst.Call) -> Definition | None:
    """The definition whose value is a loss, or minus it."""
    value: cst.CSTNode = call
    while isinstance(script.parent(value), cst.UnaryOperation):
        value = script.parent(value)
    parent = script.parent(value)
    target = parent.targets[0].target if isinstance(parent, cst.Assign) and len(parent.targets) == 1 else None
    return defined(script, target) if isinstance(target, cst.Name) else None


def _spread(script: Script, start: Definition) -> Iterator[cst.Name]:
    """The uses of a loss, and of all that is computed of it row by row."""
    pending, seen = [start], {start}
    while pending:
        for use in pending.pop().uses:
            yield use
            whole = _rowwise(script, use)
            following = _assigned_to(script, whole)
            if following is not None and following not in seen:
                seen.add(following)
                pending.append(following)


def _rowwise(script: Script, node: cst.BaseExpression) -> cst.BaseExpression:
    """The outermost expression that is computed of one row by row."""
    while (outer := _outer(script, node)) is not None:
        node = outer
    return node


def _outer(script: Script, node: cst.BaseExpression) -> cst.BaseExpression | None:
    parent = script.parent(node)
    if isinstance(parent, cst.BinaryOperation | cst.UnaryOperation):
        return parent
    if isinstance(parent, cst.Arg):
        call = script.parent(parent)
        return call if isinstance(call, cst.Call) and script.imported(call.func) in _FUNCTIONS else None
    found = script.method_call(node)
    return found[1] if found is not None and found[0] in _METHODS else None


def _assigned_to(script: Script, whole: cst.BaseExpression) -> Definition | None:
    parent = script.parent(whole)
    target = parent.targets[0].target if isinstance(parent, cst.Assign) and len(parent.targets) == 1 else None
    return defined(script, target) if isinstance(target, cst.Name) else None


def _raises(script: Script, use: cst.Name) -> bool:
    """Whether a use stands in a power of one minus something, or of what one was subtracted from."""
    for outer in script.ancestors(use):
        if isinstance(outer, cst.BinaryOperation) and isinstance(outer.operator, cst.Power):
            return any(isinstance(node, cst.Subtract) for node in script.inside(outer.left))
        if isinstance(outer, cst.Call) and script.text(outer.func).split(".")[-1] == "pow":
            return any(isinstance(node, cst.Subtract) for node in script.inside(outer))
        if isinstance(outer, cst.BaseSmallStatement):
            return False
    return False


def _reduced(script: Script, start: Definition) -> Iterator[Edit]:
    """The edits that take the mean of what is computed last, unless that is reduced already."""
    ends = [_rowwise(script, use) for use in _spread(script, start)]
    assigned = [(end, _assigned_to(script, end)) for end in ends]
    last = [end for end, found in assigned if found is None or not found.uses]
    if any(_is_reduced(script, end) for end in last):
        return
    for end in last:
        if isinstance(end, cst.Name) and (found := definition(script, end)) is not None:
            end = found.value
        elif not isinstance(script.parent(end), cst.Return | cst.Assign):
            raise Refused(end, "it cannot be seen where the mean of this focal loss is to be taken")
        start_at, end_at = script.span(end)
        if isinstance(end, cst.Call | cst.Name):
            yield Edit(end_at, end_at, ".mean()")
        else:
            yield Edit(start_at, start_at, "(")
            yield Edit(end_at, end_at, ").mean()")


def _is_reduced(script: Script, node: cst.BaseExpression) -> bool:
    found = script.method_call(node)
    if found is not None:
        return found[0] in _REDUCTIONS
    parent = script.parent(node)
    call = script.parent(parent) if isinstance(parent, cst.Arg) else None
    return isinstance(call, cst.Call) and script.imported(call.func) in {f"torch.{name}" for name in _REDUCTIONS}
