"""Public names: which there are, where they say that they are from, and how a package costs what is used of it.

    on_demand   names that are imported when they are first used (PEP 562)
    listing     what `dir`, and so completion, shows of a module: its `__all__`, and what Python itself adds
    publish     things of private modules say that they are of the public one, where users import them

A type checker is shown ordinary imports instead of those on demand, under TYPE_CHECKING; a test compares the two.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def on_demand(
    package: str, *, submodules: Sequence[str] = (), names: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """The `__getattr__` and `__dir__` of a package.

    Args:
        package: Its full name.
        submodules: Public modules of it.
        names: Other public names, by the module of the package that has them.
    """
    homes = {name: module for module, held in names.items() for name in held}

    def get(name: str) -> object:
        if name in submodules:
            return import_module(f"{package}.{name}")
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f"{package}.{homes[name]}"), name)
        setattr(sys.modules[package], name, value)  # the next time nobody asks
        return value

    return get, listing(package)


def listing(module: str) -> Callable[[], list[str]]:
    """The `__dir__` of a module."""

    def names() -> list[str]:
        held = vars(sys.modules[module])
        return sorted({*held["__all__"], *(name for name in held if name.startswith("__") and name.endswith("__"))})

    return names


def publish(module: str, *things: Any) -> None:  # noqa: ANN401 (classes and functions)
    """Let things say that they are of a public module, as tracebacks, pickles and completion show them."""
    for thing in things:
        thing.__module__ = module


def publish_all(module: str) -> Callable[[], list[str]]:
    """Publish what a module offers of private ones, unless another module has done so; and its `__dir__`."""
    held = vars(sys.modules[module])
    offered = [held[name] for name in held["__all__"]]
    publish(module, *(thing for thing in offered if "._" in thing.__module__))
    return listing(module)
