"""cross_entropy of a linear head's output becomes linear_cross_entropy of its input, which never builds the logits."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import libcst as cst

from crossentropy.doctor._convert._edits import Edit, Proposal, Refused, attempt
from crossentropy.doctor._convert._flow import Objects
from crossentropy.doctor._convert._heads import require_plain
from crossentropy.doctor._convert._imports import spell
from crossentropy.doctor._convert._losses import Loss, Site, losses, setting, settings, site
from crossentropy.doctor._convert._reach import Definition, definition, is_unchanged
from crossentropy.doctor._convert._script import Script
from crossentropy.doctor._convert._shapes import is_rows, method_of, unflattened
from crossentropy.doctor._convert._statements import without_statement
from crossentropy.doctor._convert._tree import is_literal, literal
from crossentropy.doctor._knowledge._binding import SIGNATURES

_NAMES = ("torch.nn.functional.cross_entropy", "torch.nn.CrossEntropyLoss")
_NAME = "crossentropy.functional.linear_cross_entropy"
_EFFECT = "same value: linear_cross_entropy takes the head's input and weight, and never builds the logits"
_MOVES = {"transpose": ((1, 2), (2, 1), (-1, -2), (-2, -1)), "permute": ((0, 2, 1),), "movedim": ((-1, 1),)}


@dataclass(frozen=True)
class Logits:
    """The output of a head, and what was done with it on its way to the loss."""

    head: cst.Call
    """The call of the head."""
    made: cst.Call
    """The call that made the head."""
    definitions: tuple[Definition, ...] = ()
    """The names it went through, the first last."""
    flat: bool = False
    """Whether all rows were laid on one axis."""
    moved: bool = False
    """Whether the classes were moved to axis 1."""
    rows: str = ""
    """Subscripts that choose rows, as source."""


def propose(script: Script, objects: Objects) -> Iterator[Proposal | Refused]:
    """The rewrites of all cross entropies of a linear head."""
    for loss in losses(script, objects, *_NAMES):
        for call in loss.calls:
            yield from attempt(partial(_proposal, script, objects, loss, call), "linear-cross-entropy")


def _proposal(script: Script, objects: Objects, loss: Loss, call: cst.Call) -> Proposal:
    at = site(script, loss, call)
    logits = _trace(script, objects, at.input)
    if logits is None:
        raise Refused(at.call, "it cannot be seen that these logits are the output of one nn.Linear")
    for found in logits.definitions:
        if len(found.uses) > 1:
            raise Refused(at.call, f"{found.target.value} is used for more than the loss, so it has to be computed")
    if not isinstance(logits.head.func, cst.Name | cst.Attribute) or script.text(logits.head.func).endswith(".forward"):
        raise Refused(logits.head, "this head has no name by which to take its weight")
    require_plain(script, objects, logits.head, at.call)
    hidden, edits = _hidden(script, logits, at)
    spelling = spell(script, _NAME, at.call.func)
    edits += [script.write(at.call.func, spelling.text), *_arguments(script, loss, at, logits, hidden)]
    return Proposal(at.call, "linear-cross-entropy", _EFFECT, tuple(edits), imports=spelling.imports)


def _trace(script: Script, objects: Objects, node: cst.BaseExpression) -> Logits | None:
    """Go back from the argument of the loss to the head that made it."""
    if isinstance(node, cst.Name):
        found = definition(script, node)
        before = found and _trace(script, objects, found.value)
        return replace(before, definitions=(found, *before.definitions)) if before and found else None
    if isinstance(node, cst.Subscript):
        before = _trace(script, objects, node.value)
        chosen = before and not before.flat and not before.moved and _chooses_rows(node)
        return replace(before, rows=before.rows + _subscript(script, node)) if before and chosen else None
    if not isinstance(node, cst.Call):
        return None
    flow = objects.called_by(node)
    if flow is not None:
        is_head = script.imported(flow.made.func) == "torch.nn.Linear" and len(node.args) == 1
        return Logits(node, flow.made) if is_head and not node.args[0].star else None
    method = method_of(node)
    before = method and _trace(script, objects, method[1])
    return _after(before, method[0], method[2]) if before and method else None


def _after(logits: Logits, method: str, arguments: tuple[object, ...]) -> Logits | None:
    """The logits after one of their methods, if it changes no more than the order of axes and rows."""
    if method == "contiguous":
        return logits
    if logits.flat or logits.moved:
        return None
    if is_rows(method, arguments):
        return replace(logits, flat=True)
    return replace(logits, moved=True) if arguments in _MOVES.get(method, ()) else None


def _chooses_rows(node: cst.Subscript) -> bool:
    """Whether a subscript keeps the last axis, that of the classes, whole: [..., a, :] or [:, a, :]."""
    indices = [element.slice for element in node.slice]
    last = indices[-1]
    whole = isinstance(last, cst.Slice) and last.lower is None and last.upper is None and last.step is None
    return whole and len(indices) == 3 and all(_is_slice_or_dots(index) for index in indices[:2])


def _is_slice_or_dots(index: cst.BaseSlice) -> bool:
    return isinstance(index, cst.Slice) or (isinstance(index, cst.Index) and isinstance(index.value, cst.Ellipsis))


def _subscript(script: Script, node: cst.Subscript) -> str:
    return script.source[script.span(node.value)[1] : script.span(node)[1]].decode()


def _hidden(script: Script, logits: Logits, at: Site) -> tuple[str, list[Edit]]:
    """The source of the head's input at the loss, and the edits that keep or remove what led to it."""
    value = logits.head.args[0].value
    if not logits.definitions:
        return script.operand(value, logits.head if logits.rows or logits.flat else at.input), []
    *later, first = logits.definitions
    edits = [without_statement(script, found.statement) for found in later]
    if isinstance(value, cst.Name):
        if not is_unchanged(script, value, first, at.call):
            raise Refused(at.call, f"{value.value} may have changed since the logits were made of it")
        return value.value, [*edits, without_statement(script, first.statement)]
    name = script.fresh("hidden", first.target, instead=True)
    kept = Edit(*script.span(first.value), script.operand(value, first.value))
    return name, [*edits, script.write(first.target, name), kept]


def _arguments(script: Script, loss: Loss, at: Site, logits: Logits, hidden: str) -> Iterator[Edit]:
    given = settings(script, loss)
    for name in ("size_average", "reduce"):
        if name in given:
            raise Refused(loss.made, f"{name} is not for linear_cross_entropy")
    by_row = setting(script, loss, "reduction", "mean") == "none"
    target = None if by_row or not logits.flat else unflattened(at.target)
    hidden += logits.rows + (".flatten(0, -2)" if logits.flat and target is None else "")
    head = script.text(logits.head.func)
    bias = "" if _has_no_bias(script, logits.made) else f", linear_bias={head}.bias"
    keyword = next(argument.keyword for argument in at.call.args if argument.value is at.input)
    yield script.write(at.input, f"{hidden}, {'' if keyword is None else 'linear_weight='}{head}.weight")
    if target is not None:
        yield script.replace(at.target, target)
    if not loss.is_module:
        yield from _named(script, at.call)
    end = script.span(at.call.args[-1].value)[1]
    yield Edit(end, end, bias + (_given_before(script, given) if loss.is_module else ""))


def _named(script: Script, call: cst.Call) -> Iterator[Edit]:
    """Name the arguments of cross_entropy that linear_cross_entropy takes by name only."""
    for name, argument in zip(SIGNATURES[_NAMES[0]][2:], call.args[2:]):
        if argument.keyword is None:
            start = script.span(argument.value)[0]
            yield Edit(start, start, f"{name}=")


def _given_before(script: Script, given: dict[str, cst.Arg]) -> str:
    """The settings of a criterion as arguments of the function."""
    for name, argument in given.items():
        if not is_literal(argument.value):
            raise Refused(argument, f"{name}={script.text(argument.value)} may be something else at the loss")
    return "".join(f", {name}={script.text(argument.value)}" for name, argument in given.items())


def _has_no_bias(script: Script, made: cst.Call) -> bool:
    given = script.arguments(made, SIGNATURES["torch.nn.Linear"]).get("bias")
    return given is not None and is_literal(given.value) and literal(given) is False
