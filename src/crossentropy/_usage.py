"""What commands make of what users type: the one error, numbers; and how to install what is missing."""

import argparse
import shlex
from pathlib import Path


class UnusableInputError(Exception):
    """A command cannot take the files or settings that it was given; its text says why, in one line."""


def installation(extra: str) -> str:
    """The command that installs an extra: with the package, or in the checkout that it is run from."""
    checkout = Path(__file__).parents[2]
    if (checkout / "pyproject.toml").is_file():
        return f"pip install -e {shlex.quote(f'{checkout}[{extra}]')}"
    return f"pip install 'crossentropy[{extra}]'"


def positive(text: str) -> int:
    """A whole number ≥ 1, for an argument of a command."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number ≥ 1")
    return int(text)
