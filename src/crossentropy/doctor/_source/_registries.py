"""Registries of libraries (mmcv, mmengine, fvcore): classes are entered by a decorator and found by name.

MODELS = Registry("models")
@MODELS.register_module()
class Net(nn.Module): ...
net = MODELS.build(dict(type="Net", classes=4))
"""

from __future__ import annotations

from crossentropy.doctor._source._by_name import one_of
from crossentropy.doctor._source._interpreter import Interpreter
from crossentropy.doctor._source._joins import doubtful
from crossentropy.doctor._source._values import Bound, Call, Class, Function, Layer, Partial, Unknown, Value, is_setting

_ENTER = "*enter"
"""The method that a decorator is."""
_BUILDERS = ("mmcv.utils.build_from_cfg", "mmcv.build_from_cfg", "mmengine.registry.build_from_cfg",
             "mmengine.build_from_cfg", "mmengine.registry.build_model_from_cfg")  # fmt: skip


def call(run: Interpreter, name: str, arguments: Call) -> Value:
    """build_from_cfg(cfg, registry); NotImplemented for others."""
    registry = arguments.get("registry", 1)
    if name in _BUILDERS and isinstance(registry, Layer):
        return _built(run, registry, arguments.get("cfg", 0), Call([], {}, arguments.place))
    return NotImplemented


def method(run: Interpreter, registry: Layer, name: str, arguments: Call) -> Value:
    """A method of a registry; NotImplemented for other objects."""
    if registry.kind != "Registry":
        return NotImplemented
    first = arguments.args[0] if arguments.args else arguments.kwargs.get("module", arguments.kwargs.get("obj"))
    if name in (_ENTER, "register_module", "register") and isinstance(first, (Class, Function)):
        label = arguments.kwargs.get("name")
        run.journal.store(registry.attributes, label if isinstance(label, str) else first.name, first)
        return first
    if name in ("register_module", "register"):
        label = arguments.get("name", 0)
        named = {"name": label} if isinstance(label, str) else {}
        return Partial(Bound(registry, _ENTER), Call([], named, arguments.place))
    if name == "get":
        return _found(registry, first)
    if name == "build":
        return _built(run, registry, arguments.get("cfg", 0), arguments.after())
    return Unknown()


def _found(registry: Layer, name: Value) -> Value:
    """What is entered under a name; under one that is not known, one of few models."""
    if isinstance(name, str):
        found = registry.attributes.get(str(name), Unknown())
        return doubtful(found) if is_setting(name) and not isinstance(found, Unknown) else found
    return one_of(dict(registry.attributes)) if registry.attributes else Unknown()


def _built(run: Interpreter, registry: Layer, config: Value, arguments: Call) -> Value:
    """An object of the class that a configuration names, made with the rest of it."""
    if not isinstance(config, dict):
        return run.call(_found(registry, Unknown()), Call([], {}, arguments.place, open=True))
    settings = {key: value for key, value in config.items() if isinstance(key, str) and key != "type"}
    kind = config.get("type", Unknown())
    made = kind if isinstance(kind, Class) else _found(registry, kind)
    given = Call([], settings | arguments.kwargs, arguments.place)
    return run.call(made, given)
