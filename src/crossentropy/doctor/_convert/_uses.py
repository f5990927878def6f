"""What is done with the output of a model, or with one part of it: which expressions are it, and what each needs."""

from collections.abc import Collection, Iterator, Sequence
from itertools import zip_longest
from typing import Literal, TypeAlias

import libcst as cst

from crossentropy.doctor._convert._edits import Refused
from crossentropy.doctor._convert._reach import reached, values
from crossentropy.doctor._convert._script import Script, Variable
from crossentropy.doctor._convert._shapes import kept, reshaped
from crossentropy.doctor._convert._tree import is_literal, literal

Need: TypeAlias = Literal["form", "order", "value"]
Axes: TypeAlias = Collection[object]
"""The axes over which an activation keeps the order of what it is applied to."""
Part: TypeAlias = "int | str | None"
"""Which element or entry of an output; None for the whole."""

_SAME_ORDER = frozenset(["detach", "cpu", "cuda", "numpy", "clone", "float", "double", "to", "contiguous"])
_BY_SHAPE = frozenset(["size", "dim", "numel"])
_FORMS = frozenset(["shape", "dtype", "device", "ndim"])
CLASSES: Axes = (1, -1)
"""The axis of the classes, by its two names for a matrix."""


def uses(script: Script, output: cst.Call, part: Part, elementwise: bool) -> list[cst.BaseExpression]:
    """The expressions that stand for a part of a model's output: itself, or all uses of the names it is assigned to.

    For an elementwise activation, `elementwise`, its shape may be changed first.
    """
    return [*(_of_whole(script, output, elementwise) if part is None else _of_part(script, output, part, elementwise))]


def _of_whole(script: Script, output: cst.BaseExpression, elementwise: bool) -> Iterator[cst.BaseExpression]:
    whole = reshaped(script, output) if elementwise else kept(script, output)
    target = _target(script, whole)
    if target is None or (isinstance(target, cst.Tuple) and needed(script, output) == "order"):
        yield output
    else:
        for use in _of_name(script, target, output):
            yield from _further(script, use, elementwise)


def _further(script: Script, use: cst.BaseExpression, elementwise: bool) -> Iterator[cst.BaseExpression]:
    """A use, or those of another name that it is assigned to, if it is certain which they are."""
    parent = script.parent(use)
    target = parent.targets[0].target if isinstance(parent, cst.Assign) and len(parent.targets) == 1 else None
    found = reached(script, target) if isinstance(target, cst.Name) else None
    if found is None:
        yield use
    else:
        for other in found:
            yield from _further(script, other, elementwise)


def _of_part(
    script: Script, output: cst.BaseExpression, part: str | int, elementwise: bool
) -> Iterator[cst.BaseExpression]:
    parent = script.parent(output)
    taken = part_of(parent) if isinstance(parent, cst.Subscript) and parent.value is output else None
    if taken == part and isinstance(parent, cst.Subscript):
        yield from _of_whole(script, parent, elementwise)
    elif taken is not None and not _counts_from_the_end(taken, part):
        return
    elif (target := _target(script, output)) is None:
        if needed(script, output) != "form":
            raise Refused(output, "this output is used as a whole, so that it cannot be seen what becomes of its parts")
    elif isinstance(target, cst.Tuple | cst.List) and isinstance(part, int):
        yield from _of_element(script, target, part, output)
    else:
        for use in _of_name(script, target, output):
            yield from _of_part(script, use, part, elementwise)


def _counts_from_the_end(one: Part, other: Part) -> bool:
    """Whether two indices may be the same element, as 1 and -1 of two."""
    return isinstance(one, int) and isinstance(other, int) and (one < 0) is not (other < 0)


def _of_element(
    script: Script, target: cst.Tuple | cst.List, part: int, output: cst.BaseExpression
) -> Iterator[cst.BaseExpression]:
    starred = [isinstance(one, cst.StarredElement) for one in target.elements]
    if part >= len(starred) or any(starred[: part + 1]):
        raise Refused(output, "it cannot be told which of these names is assigned the output")
    yield from _of_name(script, target.elements[part].value, output)


def _of_name(script: Script, target: cst.BaseExpression, output: cst.BaseExpression) -> Sequence[cst.BaseExpression]:
    found = reached(script, target) if isinstance(target, cst.Name) else None
    if found is None and isinstance(target, cst.Name) and script.parent(output) is script.parent(script.parent(target)):
        found = _of_all(script, target)
    if found is None:
        raise Refused(output, "it cannot be told where this output of the model is used")
    return found


def _of_all(script: Script, target: cst.Name) -> list[cst.Name] | None:
    """The uses of a name that holds nothing but outputs of one model, whichever assignment each is of."""
    given = values(script, target)
    calls = [value.func for value in given if isinstance(value, cst.Call)]
    if not calls or len(calls) < len(given) or len({script.text(function) for function in calls}) > 1:
        return None
    return [one for one in script.reads(Variable(script.scope(target), target.value)) if isinstance(one, cst.Name)]


def _target(script: Script, node: cst.BaseExpression) -> cst.BaseExpression | None:
    """What an expression is assigned to."""
    parent = script.parent(node)
    if isinstance(parent, cst.AnnAssign):
        return parent.target
    if not isinstance(parent, cst.Assign):
        return None
    if len(parent.targets) != 1:
        raise Refused(node, "this output of the model is assigned to several names at once")
    return parent.targets[0].target


def part_of(subscript: cst.Subscript) -> Part:
    """The part that a subscript takes, if it is a literal."""
    index = subscript.slice[0].slice
    if len(subscript.slice) != 1 or not isinstance(index, cst.Index) or not is_literal(index.value):
        return None
    found = literal(index.value)
    return found if isinstance(found, int | str) else None


def needed(script: Script, use: cst.BaseExpression, axes: Axes = CLASSES) -> Need:
    """What is needed of an output where it is used: its form, which along some axes are the largest, or the values."""
    parent = script.parent(use)
    if isinstance(parent, cst.Expr) or isinstance(script.around(use, cst.BaseSmallStatement), cst.Del):
        return "form"
    if isinstance(parent, cst.Attribute) and parent.value is use:
        if parent.attr.value in _FORMS:
            return "form"
        if parent.attr.value == "data":
            return needed(script, parent, axes)
    method = script.method_call(use)
    if method is None:
        return "order" if _is_ranking_function(script, parent, axes) else "value"
    name, call = method
    if name in _SAME_ORDER:
        return needed(script, call, axes)
    if name in _BY_SHAPE:
        return "form"
    return "order" if _is_ranking(name, call.args, axes) and _indices_only(script, name, call) else "value"


def _is_ranking_function(script: Script, argument: cst.CSTNode, axes: Axes) -> bool:
    call = script.parent(argument)
    if not isinstance(argument, cst.Arg) or not isinstance(call, cst.Call) or call.args[0] is not argument:
        return False
    module, _, name = (script.imported(call.func) or "").rpartition(".")
    return module == "torch" and _is_ranking(name, call.args[1:], axes) and _indices_only(script, name, call)


def _is_ranking(name: str, arguments: Sequence[cst.Arg], axes: Axes) -> bool:
    """Whether a function, given these arguments beside the tensor, finds the largest along one of some axes."""
    parameters = {"argmax": ("dim",), "max": ("dim",), "topk": ("k", "dim")}.get(name, ())
    names = [arg.keyword.value if arg.keyword else at for arg, at in zip_longest(arguments, parameters) if arg]
    axis = next((arg.value for arg, at in zip(arguments, names) if at in ("dim", "axis")), None)
    if axis is None:
        return name == "topk" and -1 in axes
    return bool(parameters) and is_literal(axis) and literal(axis) in axes


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
