"""Modules, classes and objects that a program finds by a name: of a module, in a table of names, or in a configuration.

getattr(importlib.import_module("nets.edges"), args.net)(classes=4)
hydra.utils.instantiate({"_target_": "nets.edges.EdgeNet", "classes": 4})
eval(args.net)(classes=4), globals()[args.net], models.__dict__[args.net]
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from contextlib import suppress
from typing import TypeAlias

from crossentropy.doctor._source._interpreter import Interpreter
from crossentropy.doctor._source._joins import choice, doubtful
from crossentropy.doctor._source._values import (
    Call,
    Class,
    External,
    Function,
    Layer,
    Module,
    Partial,
    Unknown,
    Value,
    is_setting,
)

LONGEST = 200
"""Characters of an expression in a text that is looked at."""
_FEW = 6
"""Models of a module of which one is meant by a name that is not known."""
_Finder: TypeAlias = Callable[[Interpreter, Call], Value]


def call(run: Interpreter, name: str, arguments: Call) -> Value:
    """A function that finds something by name; NotImplemented for others."""
    function = _FUNCTIONS.get(name)
    return NotImplemented if function is None else function(run, arguments)


def member(run: Interpreter, owner: Value, name: Value) -> Value:
    """getattr(owner, name) of a module or object: likely where a default says which."""
    if isinstance(name, str):
        value = run.attribute(owner, name)
        return doubtful(value) if is_setting(name) else value
    return doubtful(choice(_models(owner))) if isinstance(owner, Module) else Unknown()


def one_of(table: dict[Value, Value]) -> Value:
    """What an unknown key of a table means: one of its values, or, among other names, one of its few models."""
    values = list(table.values())
    known = choice(values)
    models = [value for value in values if _is_model(value)]
    return doubtful(choice(models)) if isinstance(known, Unknown) and 0 < len(models) <= _FEW else known


def _models(module: Module) -> list[Value]:
    models = [value for value in module.scope.values() if _is_model(value)]
    return models if 0 < len(models) <= _FEW else [Unknown()]


def _is_model(value: Value) -> bool:
    return isinstance(value, Class) and isinstance(value.find("forward"), Function)


def _import(run: Interpreter, arguments: Call) -> Value:
    name, package = arguments.get("name", 0), arguments.get("package", 1)
    if not isinstance(name, str):
        return Unknown()
    whole = f"{package}{name}" if name.startswith(".") and isinstance(package, str) else name
    module = run.find_module(whole.lstrip("."))
    return _as(name, module)


def _located(run: Interpreter, arguments: Call) -> Value:
    """What a dotted name means: pydoc.locate, hydra.utils.get_class."""
    name = arguments.get("path", 0)
    return _as(name, _at(run, name)) if isinstance(name, str) else Unknown()


def _at(run: Interpreter, name: str) -> Value:
    package, _, last = name.rpartition(".")
    if not package:
        return Unknown()
    owner = run.find_module(package)
    if isinstance(owner, External) and isinstance(cls := _at(run, package), Class):
        owner = cls
    return run.attribute(owner, last) if isinstance(owner, (Module, Class, External)) else Unknown()


def _instantiate(run: Interpreter, arguments: Call) -> Value:
    """hydra.utils.instantiate(config, **others): an object of the class that `_target_` names."""
    config = arguments.get("config", 0)
    table = config if isinstance(config, dict) else config.attributes if isinstance(config, Layer) else {}
    given = {key: _nested(run, value, arguments) for key, value in table.items() if isinstance(key, str)}
    target = given.pop("_target_", None)
    given |= {key: value for key, value in arguments.kwargs.items() if key != "config"}
    if not isinstance(target, str):
        return Unknown()
    settings = {key: value for key, value in given.items() if not key.startswith("_")}
    made = Call(arguments.args[1:], settings, arguments.place, arguments.open)
    function = _as(target, _at(run, target))
    return Partial(function, made) if given.get("_partial_") else run.call(function, made)


def _nested(run: Interpreter, value: Value, arguments: Call) -> Value:
    if isinstance(value, dict) and "_target_" in value:
        return _instantiate(run, Call([value], {}, arguments.place))
    return value


def _eval(run: Interpreter, arguments: Call) -> Value:
    """eval("nets.EdgeNet"): names and their attributes."""
    text = arguments.get("source", 0)
    if not isinstance(text, str) or len(text) > LONGEST or run.inside is None:
        return Unknown()
    with suppress(SyntaxError, ValueError, RecursionError, MemoryError):
        return _as(text, _meant(run, ast.parse(text.strip(), mode="eval").body, run.inside))
    return Unknown()


def _meant(run: Interpreter, node: ast.expr, module: Module) -> Value:
    if isinstance(node, ast.Name):
        return module.scope.get(node.id, Unknown())
    return run.attribute(_meant(run, node.value, module), node.attr) if isinstance(node, ast.Attribute) else Unknown()


def _globals(run: Interpreter, arguments: Call) -> Value:
    return Unknown() if run.inside is None else dict(run.inside.scope)


def _as(name: Value, found: Value) -> Value:
    """What is found by a name is likely where the name is a default."""
    return doubtful(found) if is_setting(name) and not isinstance(found, (Module, Unknown)) else found


_FUNCTIONS: dict[str, _Finder] = {
    "importlib.import_module": _import, "builtins.__import__": _import, "pydoc.locate": _located,
    "hydra.utils.get_class": _located, "hydra.utils.get_method": _located, "hydra.utils.get_object": _located,
    "hydra.utils.instantiate": _instantiate, "hydra.utils.call": _instantiate, "builtins.eval": _eval,
    "builtins.globals": _globals,
}  # fmt: skip
