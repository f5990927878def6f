"""Public names that are imported when they are first used (PEP 562), so that a package costs what is used of it.

A type checker is shown ordinary imports instead, under TYPE_CHECKING; a test compares the two.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module


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

    def names_of() -> list[str]:
        return sorted({*vars(sys.modules[package]), *submodules, *homes})

    return get, names_of
