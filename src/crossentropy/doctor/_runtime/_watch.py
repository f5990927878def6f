"""Watching a program train: each call of a loss is examined, nothing is changed, and after a few steps it is over.

A `TorchFunctionMode` sees each call of a torch function, leaves a trace of its result and, for losses, checks the
call before it is made.
"""

import contextlib
import inspect
import linecache
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType, FunctionType, TracebackType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from crossentropy import _torch, functional
from crossentropy._errors import ArgumentValueError
from crossentropy.doctor._finding import Finding, Place
from crossentropy.doctor._knowledge._checks import LOSSES
from crossentropy.doctor._knowledge._loss_call import ALIKE, Found
from crossentropy.doctor._output import as_text
from crossentropy.doctor._runtime import _exceptions
from crossentropy.doctor._runtime._call import Call
from crossentropy.doctor._runtime._checks import check
from crossentropy.doctor._runtime._composed import idle_terms, trained_nothing
from crossentropy.doctor._runtime._history import History
from crossentropy.doctor._runtime._threads import Threads
from crossentropy.doctor._runtime._trace import Traces, users_place
from crossentropy.doctor._runtime._values import is_readable, one_sample
from crossentropy.doctor.rules import RULES


@dataclass
class Report:
    """What was found while a program was watched."""

    findings: list[Finding] = field(default_factory=list)
    steps: int = 0
    """Steps that were watched: of an optimizer, or calls of a loss where there is none."""
    calls: int = 0
    """Calls of losses that were watched."""
    _folder: Path = field(default_factory=Path.cwd, repr=False)
    """Where the program was begun: it may go elsewhere."""

    def __str__(self) -> str:
        if not self.findings:
            return f"nothing found in {self.steps} steps"
        return as_text(sorted(self.findings))

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON holds it."""
        return {"findings": [finding.to_dict() for finding in sorted(self.findings)]}

    def add(self, found: Found, place: Place | None) -> None:
        """Add a finding, once for each rule and place; a certain one takes the place of a likely one."""
        at, cause = found.place or place or Place("", 0), found.cause
        finding = Finding(
            _relative(at.path, self._folder),
            at.line,
            _column(at, self._folder),
            found.rule,
            "info" if RULES[found.rule].harmless else found.confidence,
            found.message,
            RULES[found.rule].remedy,
            cause=cause
            and replace(cause, path=_relative(cause.path, self._folder), column=_column(cause, self._folder)),
        )
        same = [
            old for old in self.findings if (old.rule, old.path, old.line) == (finding.rule, finding.path, finding.line)
        ]
        if not same:
            self.findings.append(finding)
        elif same[0].confidence == "likely" and finding.confidence == "certain":
            self.findings[self.findings.index(same[0])] = finding


def _column(place: Place, folder: Path) -> int:
    """Where the statement on a line begins."""
    line = linecache.getline(str(folder / place.path), place.line)
    return len(line) - len(line.lstrip()) + 1


def _relative(path: str, folder: Path) -> str:
    try:
        return (folder / path).resolve().relative_to(folder).as_posix()
    except ValueError:
        return path


class watch:  # noqa: N801 (used like a function)
    """Watch the losses of a program.

        every loss call → where its input comes from, its shapes and its values → a finding

    Losses are torch's and this package's, functions and modules. What fed a loss is known exactly, from the calls that
    made it. Losses, gradients and random numbers are what they would be; after `steps` steps of an optimizer the
    watch ends by itself.

    Args:
        steps: Steps of an optimizer to watch; without an optimizer, calls of a loss.

    Returns:
        A context manager, whose value is a `Report`: its findings come as they are made.

    Raises:
        ValueError: `steps` is no whole number ≥ 1.

    Examples:
        >>> import torch
        >>> from crossentropy import doctor
        >>> x, y = torch.randn(8, 5), torch.randint(10, (8,))
        >>> model = torch.nn.Sequential(torch.nn.Linear(5, 10), torch.nn.Softmax(dim=1))
        >>> with doctor.watch() as report:
        ...     loss = torch.nn.CrossEntropyLoss()(model(x), y)
        >>> print(report.findings[0].rule)
        softmax-before-cross-entropy

    See Also:
        `crossentropy doctor --run`, which watches a script.
    """

    def __init__(self, steps: int = 3) -> None:
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            raise ArgumentValueError(f"steps is {steps!r}, expected a whole number ≥ 1")
        self.steps: int = steps
        self.report: Report = Report()
        self.on_finding: Callable[[Report], None] | None = None
        """Called when something was found, and after each step."""
        self.on_end: Callable[[], None] | None = None
        """Called when the steps have been watched."""
        self._mode = _Mode(self)
        self._threads = Threads(self._in_thread)
        self._watching = False
        self._hooks: list[Any] = []
        self._stepped: Counter[int] = Counter()

    def __enter__(self) -> Report:
        from torch.optim.optimizer import register_optimizer_step_post_hook

        self._hooks.append(register_optimizer_step_post_hook(self._after_step))
        self._mode.__enter__()
        self._threads.watch()
        self._watching = True
        return self.report

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self.explain(error)
        self._end(leaving=True)

    @contextlib.contextmanager
    def _in_thread(self) -> Iterator[None]:
        """What a thread of the program runs is watched like the rest."""
        with self._mode:
            try:
                yield
            except Exception as error:
                self.explain(error)
                raise

    def abandon(self) -> None:
        """Watch nothing any more and tell nobody: in a process that was forked, which is another's."""
        self.on_finding = self.on_end = None
        self._mode.done = True
        self._threads.forget()
        self._remove_hooks()

    def _remove_hooks(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    def explain(self, error: BaseException) -> None:
        """Add what an error of the program means, if a loss is behind it."""
        for found in _exceptions.meaning(error):
            self.report.add(found, found.place)
            self._found()

    def add(self, found: Found, place: Place | None) -> None:
        """Add a finding."""
        self.report.add(found, place)
        self._found()

    def step_is_over(self, calls: int) -> None:
        """Without an optimizer, calls of a loss are steps."""
        if not self._stepped and calls >= 4 * self.steps:
            self._over(calls)

    def _found(self) -> None:
        if self.on_finding is not None:
            self.on_finding(self.report)

    def _after_step(self, optimizer: torch.optim.Optimizer, arguments: Any, keywords: Any) -> None:  # noqa: ANN401
        self._stepped[id(optimizer)] += 1
        self.report.steps = step = max(self._stepped.values())
        for found in self._mode.history.after_step(step):
            self.add(found, found.place)
        self._found()
        if step >= self.steps:
            self._over(step)

    def _over(self, steps: int) -> None:
        self.report.steps = steps
        self._mode.done = True
        self._end()
        if self.on_end is not None:
            self.on_end()

    def _end(self, *, leaving: bool = False) -> None:
        for found in self._mode.history.held():
            self.add(found, found.place)
        self._mode.forget()
        self._threads.forget()
        self._remove_hooks()
        if self._watching and self._is_innermost(leaving):
            self._watching = False
            self._mode.__exit__(None, None, None)

    def _is_innermost(self, leaving: bool) -> bool:
        """Whether no other mode was entered since, and no call is being handled: then it can be left."""
        known = _torch.is_innermost(self._mode)
        return leaving if known is None else known


class _Mode(TorchFunctionMode):
    """What sees the calls."""

    def __init__(self, owner: watch) -> None:
        super().__init__()
        self.done = False
        self.history = History()
        self._owner = owner
        self._traces = Traces()
        self._calls: Counter[Place | None] = Counter()
        self._state = threading.local()
        """Whether this thread computes what the program did not ask for."""
        self._lock = threading.RLock()

    def __torch_function__(
        self, func: Callable[..., Any], types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:  # noqa: ANN401
        kwargs = kwargs or {}
        if torch.compiler.is_compiling():
            return func(*args, **kwargs)
        func = unpatched(func, sys._getframe(1))
        if self.done or getattr(self._state, "busy", False):
            return func(*args, **kwargs)
        call = None
        if _is_loss(func) and not _is_recording():
            with self._looking():
                call = self._examine(func, args, kwargs)
        result = func(*args, **kwargs)
        with self._looking():
            self._remember(func, args, kwargs, result, call)
        return result

    def forget(self) -> None:
        """Let go of what was remembered, and the tensors in it."""
        self.history, self._traces = History(), Traces()

    @contextlib.contextmanager
    def _looking(self) -> Iterator[None]:
        """What is computed here is not the program's doing, and what fails here must not fail the program."""
        self._state.busy = True
        try:
            with self._lock:
                yield
        except Exception as error:
            warnings.warn(f"crossentropy.doctor could not examine a call: {error!r}", RuntimeWarning, stacklevel=4)
        finally:
            self._state.busy = False

    def _examine(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        call = _bound(func, args, kwargs, self._traces)
        if call is not None:
            for found in check(call, self.history):
                self._owner.add(found, call.place)
        return call

    def _remember(
        self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], result: object, call: Call | None
    ) -> None:
        self._traces.record(func, args, kwargs, result)
        if call is not None and isinstance(result, Tensor):
            self.history.add_loss(call, result, self._traces[result])
            self._owner.report.calls += 1
            self._calls[call.place] += 1
            self._owner.step_is_over(self._calls[call.place])
        elif func is Tensor.backward:
            for found in self.history.held():
                self._owner.add(found, found.place)
            for found in idle_terms(self._traces[args[0]]):
                self._owner.add(found, found.place)
            for found in trained_nothing(self._traces[args[0]], args[0].requires_grad and args[0].is_leaf):
                self._owner.add(found, users_place(sys._getframe(1)))
        elif isinstance(result, Tensor):
            for found in self.history.add(func.__name__, args, kwargs, result, self._traces[result]):
                self._owner.add(found, found.place)


_OURS = {name: getattr(functional, name) for name in LOSSES if hasattr(functional, name)}


_TORCHS = {name: getattr(F, name) for name in LOSSES if hasattr(F, name)}
_BY_CODE = {function.__code__: function for function in _TORCHS.values()}


def unpatched(func: Callable[..., Any], frame: FrameType | None) -> Callable[..., Any]:
    """Torch's loss, where a program has put another function in its place.

    Torch looks up by name what it gives to a mode. A replacement that calls torch's loss would be called again.
    """
    if getattr(F, getattr(func, "__name__", ""), None) is func or not isinstance(func, FunctionType):
        return func
    for _ in range(4):
        if frame is None:
            break
        if frame.f_code in _BY_CODE:
            return _BY_CODE[frame.f_code]
        frame = frame.f_back
    return func


def _is_loss(func: Callable[..., Any]) -> bool:
    name = getattr(func, "__name__", "")
    return name in LOSSES and (func is _TORCHS.get(name) or func is _OURS.get(name))


def _is_recording() -> bool:
    """Whether calls are recorded, to be made later: then nothing is to be computed between them."""
    return _torch.scripting() or (torch.cuda.is_available() and torch.cuda.is_current_stream_capturing())


def _bound(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], traces: Traces) -> Call | None:
    """The call with its arguments by name; None where they do not fit the function."""
    try:
        bound = inspect.signature(func).bind(*args, **kwargs)
    except TypeError:
        return None
    bound.apply_defaults()
    for name in ("teacher_input", "teacher_log_probs"):
        if name in bound.arguments:
            bound.arguments["target"] = bound.arguments.pop(name)
    x, y, weight = (bound.arguments.get(name) for name in ("input", "target", "weight"))
    if not isinstance(x, Tensor) or not isinstance(y, Tensor):
        return None
    name = func.__name__
    alike = ALIKE.get(name, name)
    if isinstance(bound.arguments.get("linear_weight"), Tensor) and alike == "cross_entropy":
        alike = "linear_cross_entropy"
    arguments = {name: one_sample(v) if isinstance(v, Tensor) else v for name, v in bound.arguments.items()}
    if not all(is_readable(value) for value in arguments.values() if isinstance(value, Tensor)):
        return None
    weighing = traces[weight if isinstance(weight, Tensor) else x]
    called = name if alike != name else ""
    return Call(alike, arguments, traces[x], traces[y], users_place(sys._getframe(1)), weighing, called)
