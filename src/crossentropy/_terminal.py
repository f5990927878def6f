r"""What reaches a terminal: the only module that prints.

Names of files, labels, lines of source and messages come from files that others may have written. A terminal obeys
control characters (ESC [ 2 J clears it, and more can be done), and bidirectional ones show text in another order than
it has. So every text is printed with both escaped, as \u001b and \u202e. That is how JSON writes them too: JSON stays
valid, and what is read from it is what was written.
"""

import contextlib
import functools
import io
import json
import os
import re
import sys
from collections.abc import Iterable
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

# Control characters (C0, DEL, C1), Unicode's Bidi_Control, separators of lines and paragraphs, and surrogates, by which
# Python stands for bytes of a file name that are no UTF-8.
_OTHERS = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_IN_A_LINE = re.compile(rf"[\t\n\r{_OTHERS}]")
_IN_LINES = re.compile(rf"\r(?!\n)|[{_OTHERS}]")
_SHORT = {"\t": r"\t", "\n": r"\n", "\r": r"\r"}

_LIKENESS = str.maketrans(
    dict(zip("−–×·‖═₀₁₂“”", '--x*|=012""'))
    | {"…": "...", "²": "^2", "Σ": "sum", "∂": "d", "τ": "tau", "ℓ": "l", "λ": "lambda", "ε": "eps"}
    | {"✓": "ok", "✗": "WRONG"}
)
"""What stands for a sign on a terminal that cannot show it; a lost minus would be another number."""


def escaped(text: str, *, lines: bool = False) -> str:
    """The text without what could control a terminal or reorder what it shows.

    Args:
        text: Any text.
        lines: Whether ends of lines and tabs stay.
    """
    return (_IN_LINES if lines else _IN_A_LINE).sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    return _SHORT.get(found[0], f"\\u{ord(found[0]):04x}")


def print_line(text: str, *, error: bool = False) -> None:
    """Print one line, whatever is in the text; an error on standard error."""
    stream = sys.stderr if error else sys.stdout
    _print(_shown(escaped(text), stream) + "\n", stream)


def print_text(text: str, *, error: bool = False) -> None:
    """Print text of any number of lines, which ends as it ends; an error on standard error."""
    stream = sys.stderr if error else sys.stdout
    _print(_shown(escaped(text, lines=True), stream), stream)


def print_json(text: str) -> None:
    """Print JSON, of which nothing is lost on a terminal that lacks its characters."""
    if not _has(sys.stdout, text):
        text = "".join(sign if sign.isascii() else json.dumps(sign)[1:-1] for sign in text)
    _print(escaped(text, lines=True) + "\n", sys.stdout)


def _print(text: str, stream: IO[str] | None) -> None:
    failure = contextlib.suppress(OSError) if stream is sys.stderr else contextlib.nullcontext()
    with failure:  # of standard error nothing can be told to anyone
        print(text, end="", file=stream, flush=True)


def _shown(text: str, stream: IO[str] | None) -> str:
    """The text with signs that the stream has."""
    return text if _has(stream, text) else text.translate(_LIKENESS)


def _has(stream: IO[str] | None, text: str) -> bool:
    try:
        text.encode(getattr(stream, "encoding", None) or "utf-8", "surrogatepass")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def show_progress(text: str) -> None:
    """Show a line in place of the one before, on standard error; an empty text takes it away."""
    _print(f"\r{escaped(text)}\x1b[K", sys.stderr)


def console(*, error: bool = False) -> "Console":
    """Rich's console, which escapes too what it is given to print; that of standard error if asked."""
    return _console_class()(stderr=error)


@functools.cache
def _console_class() -> "type[Console]":
    from rich.console import Console

    class EscapingConsole(Console):
        def render(self, renderable: "RenderableType", options: "ConsoleOptions | None" = None) -> "Iterable[Segment]":
            for segment in super().render(renderable, options):
                if segment.control:  # rich's own, such as those of a bar
                    yield segment
                else:
                    yield segment._replace(text=_shown(escaped(segment.text, lines=True), self.file))

    return EscapingConsole


def prepare() -> None:
    """Let streams without some sign show ? instead of ending the program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def flush() -> None:
    """Write what standard output still holds, where an error can be told."""
    if sys.stdout is not None:
        sys.stdout.flush()


def abandon() -> None:
    """Let what standard output still holds go nowhere, so that Python does not try to write it as it ends."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
