"""Named tuples and enumerations: classes whose objects stand for what they hold.

Step = collections.namedtuple("Step", "state action")
batch = Step(*map(torch.cat, zip(*steps)))
"""

from __future__ import annotations

import ast

from crossentropy.doctor._source._interpreter import Interpreter
from crossentropy.doctor._source._values import Call, Class, External, Instance, Scope, Unknown, Value, is_known

_BASE = "typing.NamedTuple"
_MAKERS = ("collections.namedtuple", _BASE)


def make(run: Interpreter, name: str, call: Call) -> Value:
    """namedtuple(name, fields): a class; NotImplemented for other functions."""
    if name not in _MAKERS:
        return NotImplemented
    title, names = call.get("typename", 0), _names(call.get("field_names", 1, call.get("fields", default=())))
    if run.inside is None or not isinstance(title, str) or not names:
        return Unknown()
    node = ast.ClassDef(title, [], [], [], [], lineno=call.place.line, col_offset=0)
    cls = Class(title, node, [External(_BASE)], Scope(run.inside.scope), run.inside, names, records=True)
    defaults = call.kwargs.get("defaults")
    if isinstance(defaults, (list, tuple)) and 0 < len(defaults) <= len(names):
        cls.scope.update(zip(names[-len(defaults) :], defaults))
    cls.scope["_fields"] = tuple(names)
    return cls


def _names(given: Value) -> list[str]:
    if isinstance(given, str):
        return given.replace(",", " ").split()
    rows = given if isinstance(given, (list, tuple)) else ()
    names = [row[0] if isinstance(row, tuple) and row else row for row in rows]
    return [name for name in names if isinstance(name, str)] if all(isinstance(n, str) for n in names) else []


def values(value: Value) -> list[Value] | None:
    """What a named tuple holds, in order; None for anything else."""
    if isinstance(value, Instance) and value.cls.records and value.cls.external().endswith("NamedTuple"):
        return [value.attributes.get(name, Unknown()) for name in value.cls.fields]
    return None


def member(cls: Class, call: Call) -> Value:
    """Kind("name"): the member of an enumeration that has a value."""
    value = call.args[0] if call.args else Unknown()
    same = (held for held in cls.scope.values() if is_known(held) and is_known(value) and held == value)
    return value if next(same, None) is not None else Unknown()


def method(owner: Instance, name: str, call: Call) -> Value:
    """Methods that every named tuple has; NotImplemented for others."""
    if values(owner) is None:
        return NotImplemented
    if name == "_replace":
        return Instance(owner.cls, owner.attributes | call.kwargs)
    return {key: owner.attributes.get(key) for key in owner.cls.fields} if name == "_asdict" else NotImplemented
