"""softmax, log_softmax and sigmoid, in each way that they are written: functions, methods and modules."""

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import libcst as cst

from crossentropy.doctor._convert._edits import Refused
from crossentropy.doctor._convert._flow import Objects
from crossentropy.doctor._convert._script import Script
from crossentropy.doctor._convert._tree import is_literal, literal

Kind: TypeAlias = Literal["softmax", "log_softmax", "sigmoid"]

_METHODS: dict[str, Kind] = {"softmax": "softmax", "log_softmax": "log_softmax", "sigmoid": "sigmoid"}
_FUNCTIONS: dict[str, Kind] = {
    f"{module}.{name}": kind for module in ("torch.nn.functional", "torch") for name, kind in _METHODS.items()
}
_CLASSES: dict[str, Kind] = {
    "torch.nn.Softmax": "softmax",
    "torch.nn.LogSoftmax": "log_softmax",
    "torch.nn.Sigmoid": "sigmoid",
}
_PLAIN = {"input", "dim", "_stacklevel"}


@dataclass(frozen=True)
class Activation:
    """An activation, applied to logits or made as a layer."""

    kind: Kind
    call: cst.Call
    """Where it is applied; for a layer where it is made."""
    function: cst.BaseExpression
    """The expression whose last name is that of the activation."""
    dim: str | None
    """The source of the axis, if one is given."""
    operand: cst.BaseExpression | None = None
    """What it is applied to."""
    plain: bool = True
    """Whether it does nothing else, such as a change of dtype."""

    @property
    def suffix(self) -> str:
        """The activation as a method, to be put behind logits."""
        return f".{self.kind}({'' if self.kind == 'sigmoid' else f'dim={self.dim or 1}'})"


def activation(script: Script, objects: Objects, node: cst.CSTNode) -> Activation | None:
    """The activation that an expression applies last."""
    if not isinstance(node, cst.Call):
        return None
    if (raised := _raised(script, node)) is not None:
        inner = activation(script, objects, raised)
        is_softmax = inner is not None and inner.kind == "log_softmax"
        return replace(inner, kind="softmax", call=node) if inner is not None and is_softmax else None
    if (kind := _FUNCTIONS.get(script.imported(node.func) or "")) is not None:
        functional = "functional" in (script.imported(node.func) or "")
        third = ("_stacklevel", "dtype") if functional else ("dtype",)
        arguments = script.arguments(node, ("input", "dim", *third))
        if "input" not in arguments:
            return None
        operand, plain = arguments["input"].value, not arguments.keys() - _PLAIN
        return Activation(kind, node, node.func, _dim(script, arguments), operand, plain)
    return _method(script, node) or _module(script, objects, node)


def _raised(script: Script, call: cst.Call) -> cst.BaseExpression | None:
    """What a call is e to the power of."""
    if script.imported(call.func) == "torch.exp":
        return call.args[0].value if len(call.args) == 1 else None
    is_method = isinstance(call.func, cst.Attribute) and call.func.attr.value == "exp" and not call.args
    return call.func.value if is_method and isinstance(call.func, cst.Attribute) else None


def layer(script: Script, made: cst.CSTNode) -> Activation | None:
    """The activation that a call makes as a module."""
    if not isinstance(made, cst.Call) or (kind := _CLASSES.get(script.imported(made.func) or "")) is None:
        return None
    return Activation(kind, made, made.func, _dim(script, script.arguments(made, ("dim",))))


def require_class_axis(found: Activation) -> bool:
    """Raise if an activation is over an axis that cannot be that of the classes; whether the axis is certain."""
    if found.kind == "sigmoid":
        return True
    if found.dim in ("1", "-1", None):
        return found.dim == "1"
    raise Refused(found.call, f"the {found.kind} is over axis {found.dim}, which may not be that of the classes")


def _method(script: Script, node: cst.Call) -> Activation | None:
    function = node.func
    if not isinstance(function, cst.Attribute) or (kind := _METHODS.get(function.attr.value)) is None:
        return None
    receiver = function.value
    if script.imported(receiver) or (isinstance(receiver, cst.Name) and not _may_be_tensor(script, receiver)):
        return None
    arguments = script.arguments(node, () if kind == "sigmoid" else ("dim", "dtype"))
    if "dim" in arguments and not is_literal(arguments["dim"].value):
        return None
    return Activation(kind, node, function, _dim(script, arguments), function.value, not arguments.keys() - _PLAIN)


def _may_be_tensor(script: Script, name: cst.Name) -> bool:
    return name.value != "self" and not script.may_be_module(name)


def _module(script: Script, objects: Objects, node: cst.Call) -> Activation | None:
    flow = objects.called_by(node)
    made = flow and layer(script, flow.made)
    if not made or len(node.args) != 1 or node.args[0].star:
        return None
    return Activation(made.kind, node, made.function, made.dim, node.args[0].value)


def _dim(script: Script, arguments: dict[str, cst.Arg]) -> str | None:
    if "dim" not in arguments:
        return None
    value = arguments["dim"].value
    return str(literal(value)) if is_literal(value) else script.text(value)
