"""The errors of wrong arguments, which code written for torch catches as well.

torch raises RuntimeError for many a bad value, shape or dtype, where Python has ValueError, TypeError and IndexError.
Ours are both.
"""

from collections.abc import Sequence
from types import ModuleType


class ArgumentValueError(ValueError, RuntimeError):
    """A value or shape that the function cannot take."""


class ArgumentIndexError(IndexError, ValueError, RuntimeError):
    """An axis that is not there, or a label outside its range of classes."""


class ArgumentTypeError(TypeError, RuntimeError):
    """A type or dtype that the function cannot take."""


def no_attribute(module: str, name: str, torchs: ModuleType, names: Sequence[str]) -> AttributeError:
    """The error for what a module lacks of the module of torch whose losses it replaces."""
    hint = f": it is in {torchs.__name__}, this module has {', '.join(names)}" if hasattr(torchs, name) else ""
    return AttributeError(f"module {module!r} has no attribute {name!r}{hint}")
