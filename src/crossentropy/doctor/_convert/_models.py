"""Models of a script: the activation that one ends in, and what is done with its output."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal, TypeAlias

import libcst as cst

from crossentropy.doctor._convert._activations import Activation, activation, layer
from crossentropy.doctor._convert._edits import Edit, Refused
from crossentropy.doctor._convert._flow import Flow, Objects
from crossentropy.doctor._convert._reach import defined
from crossentropy.doctor._convert._script import Script
from crossentropy.doctor._convert._shapes import reshaped
from crossentropy.doctor._convert._sources import Unwrapping, source
from crossentropy.doctor._convert._statements import without_element
from crossentropy.doctor._convert._tree import is_literal, literal

Need: TypeAlias = Literal["form", "order", "value"]

_SAME_ORDER = frozenset(["detach", "cpu", "cuda", "numpy", "clone", "float", "double", "to", "contiguous"])
_BY_SHAPE = frozenset(["size", "dim", "numel"])
_FORMS = frozenset(["shape", "dtype", "device", "ndim"])


@dataclass(frozen=True)
class Tail:
    """The activation at the end of a model."""

    activation: Activation
    edits: tuple[Edit, ...]
    """What takes it away."""


def tail(script: Script, objects: Objects, flow: Flow) -> Tail | None:
    """The activation that a model ends in, if that can be seen."""
    function = flow.made.func
    if script.imported(function) == "torch.nn.Sequential":
        return _last_layer(script, objects, flow.made)
    if (path := script.missing(function)) is not None:
        raise Refused(function, f"{script.text(function)} comes from {path}, which was not given: pass it too")
    owner = objects.class_of(flow.made)
    return None if owner is None else _returned(script, objects, owner)


def called(script: Script, objects: Objects, call: cst.Call) -> list[Flow]:
    """The models that a call may call; of a class that calls itself, its objects."""
    owner = script.around(call, cst.ClassDef)
    if owner is None or not _is_of_self(script, call):
        return objects.may_be_called_by(call)
    made = objects.made_of(owner)
    if not made and _returned(script, objects, owner) is not None:
        raise Refused(call, f"other uses of the model's output cannot be seen: no {owner.name.value} is made here")
    return made


def outputs(script: Script, objects: Objects, flow: Flow) -> list[cst.Call]:
    """All calls of a model, which must be in sight."""
    owner = objects.class_of(flow.made)
    made = [flow] if owner is None else objects.made_of(owner)
    calls = [call for one in made for call in one.calls]
    for at, how in (problem for one in made for problem in (*one.lost, *one.mixed)):
        raise Refused(at, f"other uses of the model's output cannot be seen: {how}")
    if owner is not None:
        calls += _calls_of_self(script, owner)
        _require_only_made(script, owner)
    return calls


def uses(script: Script, output: cst.Call, elementwise: bool) -> list[cst.BaseExpression]:
    """The expressions that stand for a model's output: itself, or all uses of the name it is assigned to.

    For an elementwise activation, `elementwise`, its shape may be changed first.
    """
    whole = reshaped(script, output) if elementwise else output
    parent = script.parent(whole)
    if not isinstance(parent, cst.Assign | cst.AnnAssign):
        return [output]
    target = parent.target if isinstance(parent, cst.AnnAssign) else parent.targets[0].target
    if isinstance(target, cst.Tuple) and needed(script, output) == "order":
        return [output]
    found = defined(script, target) if isinstance(target, cst.Name) else None
    if found is None:
        raise Refused(output, "it cannot be told where this output of the model is used")
    return list(found.uses)


def needed(script: Script, use: cst.BaseExpression) -> Need:
    """What is needed of an output where it is used: its form alone, which of a row is the largest, or the values."""
    parent = script.parent(use)
    if isinstance(parent, cst.Expr) or isinstance(script.around(use, cst.BaseSmallStatement), cst.Del):
        return "form"
    if isinstance(parent, cst.Attribute) and parent.value is use:
        if parent.attr.value in _FORMS:
            return "form"
        if parent.attr.value == "data":
            return needed(script, parent)
    method = script.method_call(use)
    if method is None:
        return "order" if _is_ranking_function(script, parent) else "value"
    name, call = method
    if name in _SAME_ORDER:
        return needed(script, call)
    if name in _BY_SHAPE:
        return "form"
    return "order" if _is_ranking(name, call.args) and _indices_only(script, name, call) else "value"


def _is_ranking_function(script: Script, argument: cst.CSTNode) -> bool:
    call = script.parent(argument)
    if not isinstance(argument, cst.Arg) or not isinstance(call, cst.Call) or call.args[0] is not argument:
        return False
    module, _, name = (script.imported(call.func) or "").rpartition(".")
    return module == "torch" and _is_ranking(name, call.args[1:]) and _indices_only(script, name, call)


def _is_ranking(name: str, arguments: Sequence[cst.Arg]) -> bool:
    """Whether a function, given these arguments beside the tensor, finds the largest of each row."""
    parameters = {"argmax": ("dim",), "max": ("dim",), "topk": ("k", "dim")}.get(name, ())
    names = [arg.keyword.value if arg.keyword else at for arg, at in zip_longest(arguments, parameters) if arg]
    axis = next((arg.value for arg, at in zip(arguments, names) if at in ("dim", "axis")), None)
    if axis is None:
        return name == "topk"
    return bool(parameters) and is_literal(axis) and literal(axis) in (1, -1)


def _indices_only(script: Script, name: str, call: cst.Call) -> bool:
    """Whether where the largest are is all that is taken from a call, and not how large they are."""
    parent = script.parent(call)
    if name == "argmax":
        return True
    if isinstance(parent, cst.Attribute):
        return parent.attr.value == "indices"
    if isinstance(parent, cst.Subscript) and parent.value is call:
        return script.text(parent).endswith("[1]")
    target = parent.targets[0].target if isinstance(parent, cst.Assign) else None
    if not isinstance(target, cst.Tuple) or len(target.elements) != 2:
        return False
    values = target.elements[0].value
    return isinstance(values, cst.Name) and values.value.startswith("_")


def _last_layer(script: Script, objects: Objects, made: cst.Call) -> Tail | None:
    if len(made.args) < 2 or any(arg.star or arg.keyword for arg in made.args):
        return None
    last = made.args[-1].value
    if (found := layer(script, last)) is not None:
        return Tail(found, (without_element(script, made.args, len(made.args) - 1),))
    if isinstance(last, cst.Call) and script.imported(last.func) == "torch.nn.Sequential":
        return _last_layer(script, objects, last)
    return None


def _returned(script: Script, objects: Objects, owner: cst.ClassDef) -> Tail | None:
    """The activation whose result `forward` returns."""
    forward = _method(owner, "forward")
    returns = [node for node in script.find(cst.Return) if script.around(node, cst.FunctionDef) is forward]
    if forward is None or len(returns) != 1 or returns[0].value is None:
        return None
    result = returns[0].value
    found = source(script, result)
    if (applied := activation(script, objects, found.value)) is not None and applied.operand is not None:
        unwrapping = Unwrapping(script, "logits")
        unwrapping.unwrap(result, found, applied.operand)
        return Tail(applied, tuple(unwrapping.edits()))
    flow = objects.called_by(found.value) if isinstance(found.value, cst.Call) else None
    end = tail(script, objects, flow) if flow is not None else None
    if flow is None or end is None:
        return None
    if len(outputs(script, objects, flow)) > 1 or (found.definition is not None and len(found.definition.uses) > 1):
        raise Refused(result, f"the output of {script.text(flow.made.func)} is used for more than this result")
    return end


def _calls_of_self(script: Script, owner: cst.ClassDef) -> list[cst.Call]:
    """The calls that a model makes of itself."""
    calls = [node for node in script.find(cst.Call) if script.around(node, cst.ClassDef) is owner]
    return [call for call in calls if _is_of_self(script, call)]


def _is_of_self(script: Script, call: cst.Call) -> bool:
    return script.text(call.func) in ("self", "self.forward")


def _require_only_made(script: Script, owner: cst.ClassDef) -> None:
    """Raise if a class is used for anything but making its objects and naming its type."""
    variable = script.variable(owner)
    if script.is_decorated(owner):
        raise Refused(owner, f"other uses of the model's output cannot be seen: {owner.name.value} has a decorator")
    for node in script.reads(variable):
        if script.named(node) is not owner or not (script.called(node) or _names_type(script, node)):
            text = script.text(node)
            raise Refused(node, f"other uses of the model's output cannot be seen: {text} is used as a value")
    for leak in script.leaks(variable):
        raise Refused(leak, f"other uses of the model's output cannot be seen: {owner.name.value} may be used by this")


def _names_type(script: Script, node: cst.BaseExpression) -> bool:
    """Whether a class stands in super, isinstance or an annotation."""
    call = script.parent(script.parent(node))
    function = call.func if isinstance(call, cst.Call) else None
    if isinstance(function, cst.Name) and function.value in ("super", "isinstance"):
        return True
    return script.around(node, cst.Annotation) is not None


def _method(owner: cst.ClassDef, name: str) -> cst.FunctionDef | None:
    methods = [node for node in owner.body.body if isinstance(node, cst.FunctionDef) and node.name.value == name]
    return methods[0] if len(methods) == 1 else None
