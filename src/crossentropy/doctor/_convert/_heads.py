"""Whether to call a head is to multiply by its weight and add its bias, so that the loss can do that itself.

It is not if something listens to the call (a hook), changes it (a parametrization, another forward, a wrapper), may put
another module in its place, or if it is made under a context (no_grad, autocast) that the loss is not under.
"""

import re
from collections.abc import Iterator

import libcst as cst

from crossentropy.doctor._convert._edits import Refused
from crossentropy.doctor._convert._flow import HARMLESS, ITSELF, WRAPPERS, Flow, Objects
from crossentropy.doctor._convert._script import Script
from crossentropy.doctor._convert._tree import is_literal, literal

_PLAIN = ITSELF | {
    *("weight", "bias", "in_features", "out_features", "training", "parameters", "named_parameters", "zero_grad"),
    *("state_dict", "load_state_dict", "reset_parameters", "module"),
}
"""Attributes of a head that have nothing to do with what a call of it does."""
_HOOK = re.compile(r"register_(module_)?(full_)?(forward|backward)(_pre)?_hook")
_CHANGING = re.compile(r"torch\.nn\.utils\.(parametriz|weight_norm|spectral_norm|prune\.)")
"""Functions that change the module that they are given."""
_REPLACING = re.compile(
    r"(peft|loralib|bitsandbytes|torchao|deepspeed|torch\.(ao\.)?quantization|torch\.distributed\.(fsdp|_composable|tensor"
    r"\.parallel))\."
)
"""Packages whose functions replace or divide the layers of the model that they are given."""


def require_plain(script: Script, objects: Objects, head: cst.Call, loss: cst.Call) -> None:
    """Refuse a head whose call does, or may do, more than a product."""
    flow = objects.called_by(head)
    if flow is None:
        raise Refused(head, "it cannot be seen which head this is")
    names = {_last_name(node) for node in flow.stands} - {None}
    for node in (*flow.stands, *_elsewhere(script, flow)):
        _require_plain_use(script, node)
    for call in script.find(cst.Call):
        _require_no_change(script, objects, flow, names, call)
    if _contexts(script, head) != _contexts(script, loss):
        raise Refused(head, "the head is called under another context (with …) than the loss")


def _require_plain_use(script: Script, node: cst.BaseExpression) -> None:
    """Refuse a head by what is done with one expression that is it, or may be."""
    parent, name = script.parent(node), script.text(node)
    if isinstance(node, cst.Call) and script.imported(node.func) in WRAPPERS:
        raise Refused(node, f"{script.text(node.func)} wraps the head")
    if isinstance(parent, cst.Attribute) and parent.value is node:
        attribute = parent.attr.value
        if attribute not in _PLAIN and not (attribute == "forward" and script.called(parent)):
            raise Refused(parent, f"{name}.{attribute} may change what a call of the head does, or see it")
    if isinstance(parent, cst.Arg) and (call := script.parent(parent)) is not None:
        function = call.func if isinstance(call, cst.Call) else call
        known = isinstance(function, cst.Name) and function.value in HARMLESS
        if not known and script.imported(function) not in WRAPPERS and script.named(function) is None:
            raise Refused(parent, f"{name} is given to {script.text(function)}, which may change it")


def _elsewhere(script: Script, flow: Flow) -> Iterator[cst.BaseExpression]:
    """Attributes by the name of one of self that holds the head; to assign to one puts another module in its place."""
    fields = {node.attr.value for node in flow.stands if isinstance(node, cst.Attribute)} - {"module"}
    for node in script.find(cst.Attribute):
        if node.attr.value not in fields or node in flow.stands:
            continue
        if not isinstance(script.parent(node), cst.AssignTarget):
            yield node
        elif script.text(node.value) != "self":
            raise Refused(node, f"{script.text(node)} is assigned: the head may be another module")


def _require_no_change(script: Script, objects: Objects, flow: Flow, names: set[str | None], call: cst.Call) -> None:
    """Refuse a head if a call changes, or listens to, what may be it."""
    name = script.imported(call.func) or ""
    if _REPLACING.match(name):
        raise Refused(call, f"{name} may replace the head or divide its weight")
    if script.text(call.func) == "setattr" and len(call.args) > 1:
        set_name = literal(call.args[1].value) if is_literal(call.args[1].value) else None
        if set_name == "forward" or set_name in names:
            raise Refused(call, "setattr may put another module in the head's place, or another forward")
    changed = _changed(call, name)
    if changed is None:
        return
    known = any(changed in other.stands for other in objects.flows.values() if other is not flow)
    other = isinstance(changed, cst.Attribute) and _last_name(changed) not in names
    if not known and not other:
        raise Refused(call, f"{script.text(call.func)} may change what a call of the head does, or see it")


def _changed(call: cst.Call, name: str) -> cst.BaseExpression | None:
    """The module that a call adds a hook or a parametrization to; the call itself if to all modules."""
    function = call.func
    method = function.attr.value if isinstance(function, cst.Attribute) else ""
    hook = _HOOK.fullmatch(method) or _HOOK.fullmatch(name.rpartition(".")[2])
    if hook is not None:
        return call if hook[1] or not isinstance(function, cst.Attribute) else function.value
    if _CHANGING.match(name):
        return call.args[0].value if call.args else call
    return None


def _last_name(node: cst.BaseExpression) -> str | None:
    if isinstance(node, cst.Attribute):
        return node.attr.value
    return node.value if isinstance(node, cst.Name) else None


def _contexts(script: Script, node: cst.CSTNode) -> list[cst.CSTNode]:
    return [outer for outer in script.ancestors(node) if isinstance(outer, cst.With)]
