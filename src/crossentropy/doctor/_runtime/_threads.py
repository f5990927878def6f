"""Threads of a watched program: torch's modes hold for one thread, so each that is started enters them itself."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager


class Threads:
    """Runs what threads run within a context, for threads that are started from `watch` to `forget`."""

    def __init__(self, context: Callable[[], AbstractContextManager[object]]) -> None:
        self._context = context
        self._start = threading.Thread.start
        self._watching = False

    def watch(self) -> None:
        """From now on."""
        threads, start = self, threading.Thread.start
        self._start = start

        def watched_start(self: threading.Thread) -> None:
            if threads._watching:
                run = self.run

                def watched_run() -> None:
                    with threads._context():
                        run()

                self.run = watched_run  # of this thread alone, also where its class has a run of its own
            start(self)

        self._watched_start = watched_start
        self._watching = True
        threading.Thread.start = watched_start

    def forget(self) -> None:
        """No more; who has replaced it since keeps what is there."""
        if self._watching and threading.Thread.start is self._watched_start:
            threading.Thread.start = self._start
        self._watching = False
