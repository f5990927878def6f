"""Public names: which there are, what completion shows of them, and how a package costs what is used of it.

    on_demand   names that are imported when they are first used (PEP 562)
    listing     what `dir`, and so completion, shows of a module: what is public, and what Python itself adds

A type checker is shown ordinary imports instead of those on demand, under TYPE_CHECKING; a test compares the two.
Classes and functions keep the `__module__` that has their source, where inspect, doctest and sphinx look for it.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from types import MappingProxyType
from typing import TypeAlias

Listing: TypeAlias = Callable[[], list[str]]
"""A module's `__dir__`."""

_NONE: Mapping[str, str] = MappingProxyType({})


def on_demand(
    package: str,
    *,
    submodules: Sequence[str] = (),
    optional: Mapping[str, str] = _NONE,
    names: Mapping[str, Sequence[str]],
) -> tuple[Callable[[str], object], Listing]:
    """The `__getattr__` and `__dir__` of a package.

    Args:
        package: Its full name.
        submodules: Public modules of it that are in its `__all__`.
        optional: Public modules that are not, as `import *` must not ask for what they need: what each does.
        names: Other public names, by the module of the package that has them.
    """
    homes = {name: module for module, held in names.items() for name in held}

    def get(name: str) -> object:
        if name in submodules or name in optional:
            return import_module(f"{package}.{name}")
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f"{package}.{homes[name]}"), name)
        setattr(sys.modules[package], name, value)  # the next time nobody asks
        return value

    return get, listing(package, optional)


def listing(module: str, optional: Mapping[str, str] = _NONE) -> Listing:
    """The `__dir__` of a module, with those of its optional modules that can be imported here."""

    def names() -> list[str]:
        held = vars(sys.modules[module])
        python = (name for name in held if name.startswith("__") and name.endswith("__"))
        here = (name for name, needed in optional.items() if sys.modules.get(needed) or find_spec(needed))
        return sorted({*held["__all__"], *python, *here})

    return names
