"""log(softmax(z)) becomes log_softmax(z)."""

from collections.abc import Iterator
from functools import partial

import libcst as cst

from crossentropy.doctor._convert._activations import Activation, activation
from crossentropy.doctor._convert._edits import Edit, Proposal, Refused, attempt
from crossentropy.doctor._convert._flow import Objects
from crossentropy.doctor._convert._imports import rename
from crossentropy.doctor._convert._script import Script
from crossentropy.doctor._convert._sources import Source, source
from crossentropy.doctor._convert._tree import is_literal, literal

_LARGEST_EPSILON = 1e-3
_LOWER_BOUNDS = frozenset(["clamp", "clip", "clamp_min"])


def propose(script: Script, objects: Objects) -> Iterator[Proposal | Refused]:
    """The rewrites of all logarithms of a softmax."""
    for call in script.find(cst.Call):
        logged = _logged(script, call)
        if logged is not None:
            yield from attempt(partial(_proposal, script, objects, call, logged), "log-of-softmax")


def _logged(script: Script, call: cst.Call) -> cst.BaseExpression | None:
    """What a call takes the logarithm of."""
    if script.imported(call.func) == "torch.log":
        return call.args[0].value if len(call.args) == 1 and call.args[0].star == "" else None
    function = call.func
    is_method = isinstance(function, cst.Attribute) and function.attr.value == "log" and not call.args
    return function.value if is_method and isinstance(function, cst.Attribute) else None


def _proposal(script: Script, objects: Objects, call: cst.Call, logged: cst.BaseExpression) -> Proposal | None:
    inner, epsilon = _without_epsilon(script, logged)
    found = source(script, inner)
    applied = activation(script, objects, found.value)
    if applied is None or applied.kind != "softmax" or "exp" in script.text(applied.call.func).rsplit(".", 1):
        return None
    if found.definition is not None and len(found.definition.uses) > 1:
        return None  # the probabilities stay, and the logarithm is of them
    if epsilon is not None and not _is_small(epsilon):
        raise Refused(call, f"{script.text(epsilon)} in this logarithm may be more than an epsilon")
    if epsilon is None:
        effect = "same value: log_softmax is the logarithm of softmax, and does not underflow"
    else:
        effect = "the value changes where probabilities are near epsilon: log_softmax needs none"
    renamed, imports = _renamed(script, objects, applied)
    edits = (*_taken_out(script, call, inner, found), *renamed)
    return Proposal(call, "log-of-softmax", effect, edits, epsilon is None, imports)


def _taken_out(script: Script, call: cst.Call, inner: cst.BaseExpression, found: Source) -> Iterator[Edit]:
    """The logarithm gives way to what it was of, where the softmax is then renamed."""
    (start, end), (first, last) = script.span(call), script.span(inner)
    if found.definition is None:
        yield Edit(start, first)
        yield Edit(last, end)
        return
    name = script.fresh("log_probabilities", found.definition.target, instead=True)
    yield script.write(call, name)
    yield script.write(found.definition.target, name)


def _renamed(script: Script, objects: Objects, applied: Activation) -> tuple[list[Edit], frozenset[Edit]]:
    function = applied.function
    name = script.imported(function)
    if name is not None and name.rsplit(".", 1)[1] == "Softmax":
        flow = objects.called_by(applied.call)
        if flow is None or flow.lost or len(flow.calls) > 1:
            raise Refused(applied.call, "this softmax layer may be used for more than the logarithm")
        edit, spelling = rename(script, function, "torch.nn.LogSoftmax")
    elif name is None and isinstance(function, cst.Attribute):
        return [script.write(function.attr, "log_softmax")], frozenset()
    else:
        edit, spelling = rename(script, function, f"{(name or '').rsplit('.', 1)[0]}.log_softmax")
    return [edit], spelling.imports


def _without_epsilon(script: Script, node: cst.BaseExpression) -> tuple[cst.BaseExpression, cst.BaseExpression | None]:
    """What a small number is added to, or keeps from being smaller, and that number."""
    if isinstance(node, cst.BinaryOperation) and isinstance(node.operator, cst.Add):
        return (node.right, node.left) if _is_number(node.left) else (node.left, node.right)
    if not isinstance(node, cst.Call):
        return node, None
    if (script.imported(node.func) or "") in {f"torch.{name}" for name in _LOWER_BOUNDS} and len(node.args) == 2:
        return node.args[0].value, node.args[1].value
    function = node.func
    if isinstance(function, cst.Attribute) and function.attr.value in _LOWER_BOUNDS and len(node.args) == 1:
        return function.value, node.args[0].value
    return node, None


def _is_number(node: cst.BaseExpression) -> bool:
    return is_literal(node) and isinstance(literal(node), float | int)


def _is_small(node: cst.BaseExpression) -> bool:
    value = literal(node) if _is_number(node) else None
    return isinstance(value, float) and 0 < value <= _LARGEST_EPSILON
