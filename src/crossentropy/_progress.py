"""What a command is doing, told to people on standard error while it takes long."""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol, TypeAlias

from crossentropy import _terminal

if TYPE_CHECKING:
    from rich.progress import TaskID

Progress: TypeAlias = Callable[[str, int, int], None]
"""Told what a command does now, and how many of how many steps of it are done; 0 of 0 where there are none to count."""


def silent(what: str, done: int, total: int) -> None:
    """Says nothing."""


PATIENCE = 2.0
"""Seconds for which a command need not say what it does."""


@contextlib.contextmanager
def progress(*, quiet: bool = False) -> Iterator[Progress]:
    """What tells people what a command is doing, on standard error, once it takes longer than `PATIENCE`.

    On a terminal a bar, rich's if it is installed, which is gone in the end. Elsewhere a line for each step.

    Args:
        quiet: Say nothing.
    """
    if quiet or sys.stderr is None:
        yield silent
        return
    can_redraw = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    shown = _Patient((_Bar if find_spec("rich") else _Line) if can_redraw else _Lines)
    try:
        yield shown
    finally:
        shown.close()


class _Display(Protocol):
    def show(self, what: str, done: int, total: int) -> None: ...
    def close(self) -> None: ...


class _Patient:
    """Shows nothing until its time has come; then also what began before and is not done yet."""

    def __init__(self, display: Callable[[], _Display]) -> None:
        self._make = display
        self._display: _Display | None = None
        self._begin = time.monotonic()
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._now = ("", 0, 0)
        self._closed = False

    def __call__(self, what: str, done: int, total: int) -> None:
        with self._lock:
            self._now = (what, done, total)
            left = self._begin + PATIENCE - time.monotonic()
            if left <= 0:
                self._show()
            elif not total and self._timer is None:  # nobody may call again before this is done
                self._timer = threading.Timer(left, self._late)
                self._timer.daemon = True
                self._timer.start()

    def _late(self) -> None:
        with self._lock:
            if not self._closed:
                self._show()

    def _show(self) -> None:
        self._display = self._display or self._make()
        self._display.show(*self._now)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._display is not None:
                self._display.close()
        if self._timer is not None:
            self._timer.cancel()


class _Lines:
    """For a file or a pipe."""

    def __init__(self) -> None:
        self._last = ""

    def show(self, what: str, done: int, total: int) -> None:
        if what != self._last:
            self._last = what
            _terminal.print_line(f"{what} …" if total < 2 else f"{what} ({total:,}) …", error=True)

    def close(self) -> None: ...


class _Line:
    """For a terminal without rich."""

    def show(self, what: str, done: int, total: int) -> None:
        _terminal.show_progress(f"{what}: {done:,} of {total:,}" if total else f"{what} …")

    def close(self) -> None:
        _terminal.show_progress("")


class _Bar:
    """For a terminal, by rich."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        self._bars = Bars(*columns, console=_terminal.console(error=True), transient=True)
        self._tasks: dict[str, TaskID] = {}
        self._bars.start()

    def show(self, what: str, done: int, total: int) -> None:
        if what not in self._tasks:
            for task in self._tasks.values():
                self._bars.remove_task(task)
            self._tasks = {what: self._bars.add_task(what, total=total or None)}
        self._bars.update(self._tasks[what], completed=done, total=total or None)

    def close(self) -> None:
        self._bars.stop()
