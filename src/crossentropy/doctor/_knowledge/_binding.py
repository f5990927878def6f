"""The arguments of a call by torch's names, however they are given.

    torch.transpose(x, 0, dim1=1)   x.swapaxes(0, axis1=1)      {"input": x, "dim0": 0, "dim1": 1}
    x.permute(0, 2, 1)              x.permute(dims=(0, 2, 1))   {"input": x, "dims": (0, 2, 1)}

What is bound may be anything: tensors, or what stands for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from crossentropy.doctor._knowledge._operations import operation
from crossentropy.doctor._knowledge._signatures import TABLE

_OF_NUMPY = {"axis": "dim", "keepdims": "keepdim", "x": "input", "a": "input", "x1": "input", "x2": "other"}
"""Names that torch takes as well, since they are numpy's."""


_OTHERS = """
    astype input dtype
    rearrange tensor pattern
    take_along_axis input indices dim
"""


class Form(NamedTuple):
    """One form of a function."""

    names: tuple[str, ...]
    """That can be given by position;"""
    rest: str
    """what takes all others, if there is such;"""
    by_name: frozenset[str]
    """and all that can be given by name."""


def _form(text: str) -> Form:
    first, _, last = text.partition(" * ")
    names = first.split()
    rest = names.pop()[1:] if names[-1:] and names[-1].startswith("*") else ""
    return Form(tuple(names), rest, frozenset([*names, *last.split()]))


_FORMS: dict[str, list[Form]] = {
    f"{group}.{name}": [_form(text) for text in forms.split(" | ")]
    for group, lines in {**TABLE, "other packages": _OTHERS}.items()
    for name, _, forms in (line.partition(" ") for line in map(str.strip, lines.strip().splitlines()))
}
SIGNATURES: dict[str, tuple[str, ...]] = {name: forms[0].names for name, forms in _FORMS.items()}
"""What can be given by position, by the full names of functions and classes."""
_GROUPS = ("torch.nn.functional", "torch", "torch.Tensor", "other packages")


@cache
def _forms(name: str) -> tuple[Form, ...]:
    """The forms of a function, by its full name or its last; those that hang on a type come last."""
    known = _FORMS.get(name) or [form for group in _GROUPS for form in _FORMS.get(f"{group}.{name}", ())]
    if not known:
        found = operation(name.rpartition(".")[2])
        return () if found is None or found.name == name else _forms(found.name)
    return tuple(sorted(dict.fromkeys(known), key=lambda form: form.names[1:2] in (("dtype",), ("other",))))


@cache
def _several(name: str) -> frozenset[str]:
    """The arguments that can be given one by one, and are given as one otherwise."""
    return frozenset(form.rest for form in _forms(name) if form.rest)


@cache
def _renamed(name: str) -> dict[str, str]:
    """What the arguments of an operation are called under its first name."""
    found, forms = operation(name.rpartition(".")[2]), _forms(name)
    if found is None or found.name == name or not forms:
        return {}
    first = _forms(found.name)
    return dict(zip(forms[0].names, first[0].names)) if first else {}


def bound(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments by the names that they have in the operation's first name; by position where that is not known.

    An argument that torch does not know stays, under its name.
    """
    forms = _forms(name)
    for form in forms:
        given = _fitted(form, args, kwargs)
        if given is not None:
            break
    else:
        given = next(
            (dict(zip(form.names, args)) | dict(kwargs) for form in forms if len(args) <= len(form.names)),
            {str(i): value for i, value in enumerate(args)} | dict(kwargs),
        )
    for key in _several(name) & given.keys():
        given[key] = given[key] if isinstance(given[key], (list, tuple)) else (given[key],)
    renamed = _renamed(name)
    return {renamed.get(key, key): value for key, value in given.items()} if renamed else given


def _fitted(form: Form, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any] | None:
    count = len(form.names)
    if len(args) > count and not form.rest:
        return None
    given = dict(zip(form.names, args))
    if form.rest and len(args) > count:
        rest = tuple(args[count:])
        given[form.rest] = rest[0] if len(rest) == 1 and isinstance(rest[0], (list, tuple)) else rest
    for key, value in kwargs.items():
        known = key if key in form.by_name or key == form.rest else _OF_NUMPY.get(key, "")
        if known not in form.by_name or known in given:
            return None
        given[known] = value
    return given
