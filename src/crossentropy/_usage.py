"""What commands make of what users type: the one error, and numbers."""

import argparse


class UnusableInputError(Exception):
    """A command cannot take the files or settings that it was given; its text says why, in one line."""


def positive(text: str) -> int:
    """A whole number ≥ 1, for an argument of a command."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number ≥ 1")
    return int(text)
