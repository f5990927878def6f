"""Writes the arguments of torch's functions that the doctor knows, read from torch's own stubs, as a module.

    python tests/torch_signatures.py > src/crossentropy/doctor/_knowledge/_signatures.py

from the root of the repository, after a row was added to `_operations`. A function has several forms, of which each is
written as in `def`: `*size` takes what is given one by one, what follows `*` is given by name. Methods are written
where they have other arguments than the function of their name.
"""

import ast
import inspect
import sys
from collections.abc import Iterable
from pathlib import Path

import torch

from crossentropy.doctor._knowledge._operations import OPERATIONS

HEAD = '''"""The arguments of torch's functions and classes, in order.

Written by tests/torch_signatures.py, from torch's stubs.
"""

# ruff: noqa: E501
'''
ROOT = Path(torch.__file__).parent
CLASSES = ("Linear",)
"""Of torch.nn, besides losses, and what can work in place."""
_OLD = frozenset(["alpha", "beta", "value", "self"])
"""Where these come before tensors, a form is an old one."""


def overloads(body: Iterable[ast.stmt]) -> dict[str, list[ast.arguments]]:
    found: dict[str, list[ast.arguments]] = {}
    for node in body:
        if isinstance(node, ast.FunctionDef):
            found.setdefault(node.name, []).append(node.args)
    return found


def parsed(file: str) -> list[ast.stmt]:
    return ast.parse((ROOT / file).read_text("utf-8")).body


def methods(file: str, name: str) -> dict[str, list[ast.arguments]]:
    return next(overloads(node.body) for node in parsed(file) if isinstance(node, ast.ClassDef) and node.name == name)


def form(arguments: ast.arguments) -> tuple[str, ...]:
    names = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
    names += [f"*{arguments.vararg.arg}"] if arguments.vararg else []
    by_name = [argument.arg for argument in arguments.kwonlyargs if argument.arg != "out"]
    return (*names, *(["*"] if by_name else []), *by_name)


def forms(several: list[ast.arguments]) -> list[tuple[str, ...]]:
    """The forms with the tensor as input, without those that begin another, or that torch has for old programs."""
    found = [form(arguments) for arguments in several]
    found = list(dict.fromkeys(("input", *names[1:]) if names[:1] == ("self",) else names for names in found))
    found = [names for names in found if not any(other != names and other[: len(names)] == names for other in found)]
    return [names for names in found if not _OLD.intersection(names[1:2]) or len(found) == 1]


def written(of: dict[str, list[tuple[str, ...]]]) -> str:
    return "\n".join(f"        {name} {' | '.join(' '.join(names) for names in of[name])}" for name in sorted(of))


def losses(functions: dict[str, list[ast.arguments]]) -> list[str]:
    return [name for name, several in functions.items() if "reduce" in form(several[0])]


def constructors() -> dict[str, list[tuple[str, ...]]]:
    """Of the losses that are modules, and some others."""
    classes = {name: kind for name, kind in vars(torch.nn).items() if isinstance(kind, type)}
    made = {name: settings(kind) for name, kind in classes.items()}
    return {name: [found] for name, found in made.items() if name in CLASSES or {"reduce", "inplace"} & {*found}}


def settings(kind: type) -> tuple[str, ...]:
    """The arguments of a constructor; of one that hands them on, those of the class above it."""
    found = tuple(inspect.signature(kind).parameters)
    return settings(kind.__mro__[1]) if found[:1] == ("args",) and kind.__mro__[1] is not torch.nn.Module else found


def table() -> dict[str, dict[str, list[tuple[str, ...]]]]:
    names = [name for row in OPERATIONS.values() for name in (row.name, *row.others)]
    spelled = [*names, *(f"{name}_" for name in names)]
    functional = overloads(parsed("nn/functional.py"))
    functional = overloads(parsed("_C/_nn.pyi")) | overloads(parsed("nn/functional.pyi")) | functional
    plain = overloads(parsed("_C/_VariableFunctions.pyi")) | overloads(parsed("functional.py"))
    tensor = methods("_C/__init__.pyi", "TensorBase") | methods("_tensor.py", "Tensor")
    of_torch = {name: forms(plain[name]) for name in spelled if name in plain}
    of_tensor = {name: forms(tensor[name]) for name in spelled if name in tensor}
    return {
        "torch": of_torch,
        "torch.Tensor": {name: found for name, found in of_tensor.items() if found != of_torch.get(name)},
        "torch.nn.functional": {
            name: forms(functional[name]) for name in functional if name in spelled or name in losses(functional)
        },
        "torch.nn": constructors(),
    }


def module() -> str:
    groups = "\n".join(f'    "{group}": """\n{written(of)}\n        """,' for group, of in table().items())
    return f"{HEAD}\nTABLE: dict[str, str] = {{\n{groups}\n}}\n"


if __name__ == "__main__":
    sys.stdout.write(module())
