"""The errors of wrong arguments, which code written for torch catches as well.

torch raises RuntimeError for many a bad value, shape or dtype, where Python has ValueError, TypeError and IndexError.
Ours are both.
"""


class ArgumentValueError(ValueError, RuntimeError):
    """A value or shape that the function cannot take."""


class ArgumentIndexError(IndexError, ValueError, RuntimeError):
    """An axis that is not there, or a label outside its range of classes."""


class ArgumentTypeError(TypeError, RuntimeError):
    """A type or dtype that the function cannot take."""
