"""`crossentropy doctor --run SCRIPT`: a script is watched in a process of its own, and what was found survives its end.

The child writes its findings to a file whenever there is a new one, so that they are there whatever becomes of it: an
exception, os._exit, a signal. What the script prints goes to standard error, so that standard output is the report's.
"""

import contextlib
import json
import os
import runpy
import signal
import sys
import tempfile
import threading
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossentropy import _terminal
from crossentropy.doctor._finding import Finding, by_cause
from crossentropy.doctor._runtime._signals import Waiting

if TYPE_CHECKING:
    from crossentropy.doctor._runtime._watch import Report, watch


@dataclass(frozen=True)
class Run:
    """How a watched script ended, and what was found."""

    findings: tuple[Finding, ...]
    steps: int
    calls: int
    """Calls of losses."""
    code: int
    """The script's exit code: 0 also where it was stopped after the watched steps."""
    stopped: bool
    """Whether it was stopped after the watched steps."""
    signal: int = 0
    """The signal that this process got while it ran, and passed on to it."""


_NOTHING: dict[str, Any] = {"findings": [], "steps": 0, "calls": 0, "stopped": False}


def run(script: str, arguments: Sequence[str] = (), *, steps: int = 3) -> Run:
    """Run a script under watch."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "findings.json"
        command = [sys.executable, "-m", "crossentropy.doctor._runtime._run", str(out), str(steps), script, *arguments]
        uncompiled = os.environ | {"TORCH_COMPILE_DISABLE": "1"}  # compiled code cannot be looked into
        waiting = Waiting()
        code = waiting.run(command, uncompiled)
        if not out.exists() and not waiting.signals:  # it is written before the script begins
            raise ChildProcessError("the process that was to run the script did not start: see above")
        data: dict[str, Any] = json.loads(out.read_text("utf-8")) if out.exists() else _NOTHING
    findings = tuple(Finding.from_dict(finding) for finding in data["findings"])
    return Run(
        tuple(by_cause(dict.fromkeys(findings))),
        data["steps"],
        data["calls"],
        code,
        data["stopped"],
        waiting.signals[-1] if waiting.signals else 0,
    )


class _Enough(SystemExit):
    """Raised in the script when the steps have been watched."""


class _Stop:
    """Stops a script: it may do what it does when it is interrupted, but not go on for ever."""

    CATCHES = 3
    """How often a script may catch what stops it."""
    SECONDS = 30
    """How long it may take to end;"""
    SECONDS_OF_THREADS = 5
    """and its threads, when it has ended."""

    def __init__(self, leave: Callable[[], None]) -> None:
        self.stopped = False
        self._leave = leave
        """Ends the process, where nothing else helps."""
        self._raised = 0
        self._timer = self._leaving_after(self.SECONDS)

    def __call__(self, *_: object) -> None:
        """Stop the script; again with each step that follows."""
        from torch.optim.optimizer import register_optimizer_step_post_hook

        if not self.stopped:
            self.stopped = True
            self._timer.start()
            self._hook = register_optimizer_step_post_hook(self)
        self._raised += 1
        if self._raised > self.CATCHES:
            self._leave()
        if threading.current_thread() is not threading.main_thread():
            raise SystemExit  # which threads end by in silence
        raise _Enough(0)

    def is_over(self) -> None:
        """The script has ended; Python waits for its threads and processes, but not for ever."""
        self._timer.cancel()
        if self.stopped:
            self._hook.remove()
            self._leaving_after(self.SECONDS_OF_THREADS).start()

    def _leaving_after(self, seconds: float) -> threading.Timer:
        timer = threading.Timer(seconds, self._leave)
        timer.daemon = True
        return timer


def watch_script(script: str, arguments: Sequence[str], steps: int, save: "Callable[[Report, bool], None]") -> int:
    """Run a script in this process, which it then may leave in any state, and return its exit code.

    `save` gets the report, and whether the script was stopped, at the beginning and end and with each finding.
    """
    from crossentropy.doctor._runtime._watch import watch

    sys.argv = [script, *arguments]
    sys.path[0] = str(Path(script).resolve().parent)
    watching = watch(steps)

    def leave() -> None:
        save(watching.report, True)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os._exit(0)

    stop = _Stop(leave)
    threading.excepthook = _show_in_thread
    save(watching.report, False)
    _note_deprecations(watching)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=watching.abandon)  # such as workers that load data
    watching.on_finding = lambda report: save(report, stop.stopped)
    watching.on_end = stop
    code = 0
    try:
        with watching:
            runpy.run_path(script, run_name="__main__")
    except _Enough:
        pass
    except SystemExit as ended:
        code = _code_of(ended)
    except KeyboardInterrupt as ended:
        _show(ended, script)
        code = 128 + signal.SIGINT
    except BaseException as ended:
        _show(ended, script)
        code = 1
    stop.is_over()
    save(watching.report, stop.stopped)
    return code


def _code_of(ended: SystemExit) -> int:
    """What Python makes of sys.exit(code): a text is shown, and is an error."""
    if ended.code is None or isinstance(ended.code, int):
        return ended.code or 0
    _terminal.print_text(f"{ended.code}\n", error=True)
    return 1


def _show(error: BaseException, script: str | None = None) -> None:
    """Show where a script failed, from its own first line on."""
    trace = error.__traceback__
    frame = trace
    while frame is not None and frame.tb_frame.f_code.co_filename != script:
        frame = frame.tb_next
    _terminal.print_text("".join(traceback.format_exception(type(error), error, frame or trace)), error=True)


def _show_in_thread(failed: threading.ExceptHookArgs) -> None:
    """As threading does: what ends by SystemExit ends in silence."""
    if failed.exc_value is not None and not isinstance(failed.exc_value, SystemExit):
        _terminal.print_line(f"Exception in thread {failed.thread.name if failed.thread else '?'}:", error=True)
        _show(failed.exc_value)


def _note_deprecations(watching: "watch") -> None:
    """Torch's warning about size_average and reduce is a finding: the loss is called without them."""
    from crossentropy.doctor._knowledge._loss_call import Found
    from crossentropy.doctor._runtime._trace import users_place

    def warned(message: Any, *_: Any, **__: Any) -> None:  # noqa: ANN401
        if "size_average and reduce args" in str(message):
            found = Found("deprecated-reduce", "size_average or reduce is used: use reduction=")
            watching.add(found, users_place(sys._getframe(1)))
        shown(message, *_, **__)

    shown, warnings.showwarning = warnings.showwarning, warned


def _child(out: Path, steps: int, script: str, arguments: list[str]) -> int:
    process = os.getpid()

    def save(report: "Report", stopped: bool) -> None:
        if os.getpid() != process:  # a fork of the script
            return
        contents = {**report.to_dict(), "steps": report.steps, "calls": report.calls, "stopped": stopped}
        unfinished = out.with_suffix(f".{os.getpid()}")
        unfinished.write_text(json.dumps(contents), "utf-8")
        unfinished.replace(out)

    return watch_script(script, arguments, steps, save)


if __name__ == "__main__":
    sys.exit(_child(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:]))
