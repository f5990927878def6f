"""The errors and warnings of arguments, which code written for torch catches as well; and how messages are worded.

torch raises RuntimeError for many a bad value, shape or dtype, where Python has ValueError, TypeError and IndexError.
Ours are both, and all are `ArgumentError`.
"""

import sys
import warnings
from collections.abc import Sequence
from types import ModuleType


class ArgumentError(RuntimeError):
    """What is wrong with an argument.

        ArgumentValueError, ArgumentTypeError, ArgumentIndexError  ⊂  ArgumentError  ⊂  RuntimeError

    The base of every error about an argument, of any function of the package. Its message names the argument, what
    came, what was expected and the likely fix. Each is also the ValueError, TypeError or IndexError that Python has
    for it.

    Examples:
        >>> import torch, crossentropy
        >>> try:
        ...     crossentropy.functional.cross_entropy(torch.zeros(2, 3), torch.tensor([0, 3]))
        ... except crossentropy.ArgumentError as error:
        ...     print(type(error).__name__)
        ArgumentIndexError

    See Also:
        `ArgumentWarning`, for what is taken all the same.
    """


class ArgumentValueError(ArgumentError, ValueError):
    """A value or shape that the function cannot take.

    Examples:
        >>> import torch, crossentropy
        >>> crossentropy.functional.cross_entropy(torch.zeros(2, 3), torch.tensor([0, 1]), label_smoothing=2.0)
        Traceback (most recent call last):
        crossentropy.ArgumentValueError: label_smoothing is 2.0, expected a finite number in [0, 1]

    See Also:
        `ArgumentError`.
    """


class ArgumentIndexError(ArgumentError, IndexError, ValueError):
    """An axis that is not there, or a label outside its range of classes.

    Examples:
        >>> import torch, crossentropy
        >>> crossentropy.functional.cross_entropy(torch.zeros(2, 3), torch.tensor([0, -1]))
        Traceback (most recent call last):
        crossentropy.ArgumentIndexError: target[1] is -1, expected a class in [0, 3) or ignore_index (-100) — padding?
        pass ignore_index=-1

    See Also:
        `ArgumentError`.
    """


class ArgumentTypeError(ArgumentError, TypeError):
    """A type or dtype that the function cannot take, or a keyword that it does not have.

    Examples:
        >>> import torch, crossentropy
        >>> crossentropy.functional.cross_entropy(torch.zeros(2, 3), torch.tensor([0, 1]), class_weight=torch.ones(3))
        Traceback (most recent call last):
        crossentropy.ArgumentTypeError: cross_entropy() has no argument 'class_weight' — it is weight here

    See Also:
        `ArgumentError`.
    """


class ArgumentWarning(UserWarning):
    """An argument that is taken, and is probably not what was meant.

    Probabilities where logits are expected, for instance. Most are given only with validate=True.

    Examples:
        >>> import warnings, torch, crossentropy
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("error", crossentropy.ArgumentWarning)
        ...     crossentropy.functional.cross_entropy(torch.eye(3), torch.tensor([0, 1, 2]), validate=True)
        Traceback (most recent call last):
        crossentropy.ArgumentWarning: input holds probabilities: each row is ≥ 0 and sums to 1. The softmax is applied
        here: pass the logits

    See Also:
        `ArgumentError`.
    """


_PUBLIC = (ArgumentError, ArgumentValueError, ArgumentIndexError, ArgumentTypeError, ArgumentWarning)
for _class in _PUBLIC:
    _class.__module__ = "crossentropy"  # where they are to be caught, as a traceback shows
    if "__firstlineno__" in vars(_class):  # Python 3.13 would take that line of another file for their source
        delattr(_class, "__firstlineno__")
__test__ = {_class.__name__: _class for _class in _PUBLIC}  # doctest looks for no others that are of another module


def warn(message: str) -> None:
    """Give an ArgumentWarning at the line outside the package, and outside torch, from which it was called."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).split(".")[0] in ("crossentropy", "torch"):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, ArgumentWarning, stacklevel=level)


def kind_of(thing: object) -> str:
    """The type of a thing, with its article: "a list", "an int", "an ndarray" (which is said letter by letter)."""
    name = type(thing).__name__
    return f"{'an' if name[0] in 'aeioAEIO' or name.startswith('nd') else 'a'} {name}"


def no_attribute(module: str, name: str, torchs: ModuleType, names: Sequence[str]) -> AttributeError:
    """The error for what a module lacks of the module of torch whose losses it replaces."""
    hint = f": it is in {torchs.__name__}, this module has {', '.join(names)}" if hasattr(torchs, name) else ""
    return AttributeError(f"module {module!r} has no attribute {name!r}{hint}")
