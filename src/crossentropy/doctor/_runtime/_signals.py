"""A process of its own group, to which the signals are passed on that this process gets while it waits for it.

So Ctrl-C and `kill` mean the script that runs, which may end as it would without the doctor.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from types import FrameType
from typing import Any

PASSED_ON = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
PATIENCE = 3
"""How many signals a process may outlive; with the next it is killed."""


class Waiting:
    """Starts a process and waits for its end."""

    def __init__(self) -> None:
        self.signals: list[int] = []
        """Those that were passed on."""
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, command: Sequence[str], environment: dict[str, str]) -> int:
        """The exit code of a command, whose output goes to standard error; −n where signal n has ended it."""
        watching = threading.current_thread() is threading.main_thread()  # only there signals can be handled
        before: dict[int, Any] = {}
        try:
            if watching:
                before |= {number: signal.signal(number, self._received) for number in PASSED_ON}
            self._process = subprocess.Popen(
                command, stdout=sys.stderr.fileno(), env=environment, start_new_session=True
            )
            for number in self.signals:  # they came before there was anyone to pass them on to
                self._pass_on(self._process, number)
            return self._process.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _received(self, number: int, frame: FrameType | None) -> None:
        self.signals.append(number)
        if self._process is not None:
            self._pass_on(self._process, number)

    def _pass_on(self, process: "subprocess.Popen[bytes]", number: int) -> None:
        """Ctrl-C goes to all processes of a terminal, other signals to one."""
        if process.returncode is not None:
            return
        try:
            if len(self.signals) > PATIENCE and hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            elif number == signal.SIGINT and hasattr(os, "killpg"):
                os.killpg(process.pid, number)
            else:
                process.send_signal(number)
        except ProcessLookupError:  # it has just ended
            return
