"""A project: its modules, which are found by name among the files that are given, and are followed once each."""

from __future__ import annotations

import ast
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from crossentropy.doctor._finding import Passed
from crossentropy.doctor._source import _options
from crossentropy.doctor._source._budget import Budget
from crossentropy.doctor._source._calls import Calls
from crossentropy.doctor._source._configurations import LARGEST
from crossentropy.doctor._source._expressions import Exhausted, Frame
from crossentropy.doctor._source._files import Roots, Source, Unreadable, read, text_of
from crossentropy.doctor._source._leading import Leading, changed
from crossentropy.doctor._source._relevance import Relevance
from crossentropy.doctor._source._report import Report
from crossentropy.doctor._source._statements import Flow
from crossentropy.doctor._source._values import (
    Call,
    Class,
    External,
    Function,
    Instance,
    Layer,
    Module,
    Output,
    Scope,
    Unknown,
    Value,
)

STEPS = 60_000
"""Expressions that are evaluated for one file."""
WAY_STEPS = 20_000
"""And again for each option that is not as its default has it."""
SECONDS = 1.0
"""Processor time for one file, and again for its functions that nothing calls: the last resort, since it hangs on the
machine what is found then."""
MODEL_STEPS = 12_000
"""Expressions that are evaluated for a module or a model that is followed quietly."""

_NOT_READ = ("torch", "numpy", "builtins", "crossentropy")


class Project(Calls):
    """Follows the modules of a project."""

    def __init__(self, report: Report, files: dict[str, Path], roots: Roots) -> None:
        super().__init__(report)
        self.given = files
        """By real path."""
        self.files = dict(files)
        """These, and those that they import which were not given."""
        self.budget = Budget(len(files))
        self.relevance = Relevance(len(files), self._bytes, self._imports_file)
        self.leading = Leading(self.source, self._imports_file, self.relevance.reaches_loss)
        self._left_out: dict[str, list[ast.stmt]] = {}
        """Statements of modules that were not followed, since they lead to no loss."""
        self.roots = roots.folders
        self._around = tuple(root + os.sep for root in roots.around)
        self.passed: dict[str, Passed] = {}
        self.sources: dict[str, Source | None] = {}
        self.modules: dict[str, Module] = {}
        self.links: dict[str, set[str]] = {}
        """Which files a file imports."""
        self._found: dict[tuple[str, str], str | None] = {}

    # --- files and modules --------------------------------------------------------------------------------------------

    def source(self, path: str) -> Source | None:
        """A file, read and parsed; None where that cannot be done."""
        if path not in self.sources:
            file = self.files[path]
            try:
                self.sources[path] = read(file, text_of(file))
            except Unreadable as error:
                self.pass_over(file, str(error))
                self.sources[path] = None
        return self.sources[path]

    def _bytes(self, path: str) -> bytes:
        """A file; nothing where it cannot be read."""
        try:
            return text_of(self.files[path])
        except Unreadable:
            return b""

    def pass_over(self, file: Path, reason: str, *, partly: bool = False) -> None:
        """A file that was given is not examined, or not to its end; the first reason is given."""
        if os.path.realpath(file) in self.given:
            self.passed.setdefault(file.as_posix(), Passed(file.as_posix(), reason, partly))

    def is_alone(self, path: str) -> bool:
        """Whether a file may be called from others of its project, which were not given."""
        return path.startswith(self._around)

    def module(self, path: str, steps: int = STEPS) -> Module | None:
        """A module, followed to its end unless that is being done; what it imports is followed on its own account."""
        if path not in self.modules:
            source = self.source(path)
            if source is None:
                return None
            self._followed(Module(path, source, Scope()), source.tree.body, steps)
        elif path in self._left_out:
            self._followed(self.modules[path], self._left_out.pop(path), steps)
        return self.modules[path]

    def examine(self, path: str) -> None:
        """Follow a module for the losses that it leads to."""
        source = None if path in self.modules else self.source(path)
        if source is None:
            return
        left_out = self.leading.left_out(path)
        if left_out:
            self._left_out[path] = left_out
        body = [part for part in source.tree.body if part not in left_out]
        with self.options.ways() as ways:
            self._followed(Module(path, source, Scope()), body, STEPS)
        for way in ways if self.budget.spare > 0 else ():
            self._otherwise(self.modules[path], body, way)

    def _otherwise(self, module: Module, body: list[ast.stmt], way: tuple[str, Value]) -> None:
        """Follow a program again, with another option than the default."""
        self.options.chosen, spent = way, self.budget.spent
        with self.report.apart() as found:
            self._followed(Module(module.name, module.source, Scope()), body, WAY_STEPS)
        self.options.chosen, self.modules[module.name] = None, module
        self.budget.spare -= self.budget.spent - spent
        self.budget.spent = spent
        for finding in filter(None, (_options.of_way(finding, way) for finding in found.values())):
            self.report.keep(finding)

    def _followed(self, module: Module, body: list[ast.stmt], steps: int) -> None:
        self.modules[module.name] = module
        module.scope.setdefault("__name__", "__main__")
        module.scope.setdefault("__file__", module.source.shown)
        module.state = "running"
        with self.within_limits(module.name, steps, module):
            self._statements_of(body, Frame(module.scope, module), module.name)
        module.state = "done"

    def _statements_of(self, body: list[ast.stmt], frame: Frame, path: str) -> None:
        """Follow a module; one statement that is nested too deeply does not hide the others."""
        for statement in body:
            if self._alone(statement, frame, path) is not Flow.NEXT:
                return

    def _alone(self, statement: ast.stmt, frame: Frame, path: str) -> Flow:
        try:
            return self.run([statement], frame)
        except RecursionError:
            self.give_up(path, f"line {statement.lineno} is nested too deeply to follow")
            return Flow.NEXT

    def bind_for(self, path: str, text: str) -> None:
        """Follow what was left out of a module if that binds a name in a text."""
        left_out = self._left_out.get(path, [])
        if any(word in text for statement in left_out for word in changed(statement)):
            self.module(path)

    @contextmanager
    def within_limits(self, path: str, most: int, inside: Module | None, what: str = "it") -> Iterator[None]:
        """What takes too long, or fails, is given up, and said; what was found until then stays."""
        steps, began = self.budget.share(most), time.process_time()
        before = self.begin(steps, began + SECONDS, inside)
        try:
            yield
        except Exhausted as limit:
            self.give_up(path, f"{what} takes too {limit} to follow")
        except RecursionError:
            self.give_up(path, f"{what} is nested too deeply to follow")
        except MemoryError:
            self.give_up(path, f"{what} takes too much memory to follow")
        except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
            self.give_up(path, f"crossentropy doctor fails here, please report it: {error!r}")
        finally:
            self.budget.spent += steps - max(self.steps, 0)
            vars(self).update(before)
            self.deadline += time.process_time() - began

    def give_up(self, path: str, reason: str) -> None:
        if not self.report.silent:
            self.pass_over(self.files[path], reason, partly=True)

    def imports(self, node: ast.Import, frame: Frame) -> None:
        for alias in node.names:
            whole = alias.name if alias.asname else alias.name.partition(".")[0]
            if not alias.asname:
                self._imported(alias.name, frame)
            self.bind(alias.asname or whole, self._imported(whole, frame), frame)

    def _linked(self, frame: Frame, path: str) -> Module | None:
        """A module that another imports."""
        self.links.setdefault(frame.module.name, set()).add(path)
        return self.module(path)

    def module_quietly(self, path: str) -> Module | None:
        """A module, followed without a report if that was not worth it before."""
        if path not in self.modules:
            with self.report.silence():
                self.module(path, MODEL_STEPS)
        return self.modules.get(path)

    def try_model(self, model: Class | Function | Layer, caller: Output) -> Value:
        """What a model makes, if that can be followed."""
        with self.report.silence(), self.within_limits("", MODEL_STEPS, None):
            return _made(self, model, caller)
        return Unknown()

    def _imported(self, name: str, frame: Frame) -> Value:
        path = self._find(name, frame.module.name)
        module = None if path is None else self._linked(frame, path)
        if module is not None:
            return module
        return External(name) if path is None else Unknown()

    def find_module(self, name: str) -> Value:
        return Unknown() if self.inside is None else self._imported(name, Frame(self.inside.scope, self.inside))

    def file_beside(self, path: str) -> bytes | None:
        folder = "" if self.inside is None else os.path.dirname(self.inside.name)
        for place in self._places(folder) if folder else ():
            file = os.path.realpath(os.path.join(place, path))
            inside = any(file.startswith(root + os.sep) for root in self.roots)
            if inside and os.path.isfile(file) and os.path.getsize(file) <= LARGEST:
                with suppress(Unreadable):
                    return text_of(Path(file))
        return None

    def imports_from(self, node: ast.ImportFrom, frame: Frame) -> None:
        base = self._base(node, frame.module.name)
        path = None if base is None else self._locate(base, frame.module.name, node.level)
        module = None if path is None else self._linked(frame, path)
        for alias in node.names:
            if alias.name == "*":
                self._all(module, base if path is None and not node.level else None, frame)
            else:
                self.bind(
                    alias.asname or alias.name, self._member_of(module, base, path, alias.name, node, frame), frame
                )

    def _base(self, node: ast.ImportFrom, importer: str) -> str | None:
        """The module's name; for a relative import the path of its folder."""
        if not node.level:
            return node.module
        folder = os.path.dirname(importer)
        for _ in range(node.level - 1):
            folder = os.path.dirname(folder)
        return os.path.join(folder, *(node.module or "").split(".")) if node.module else folder

    def _locate(self, base: str, importer: str, level: int) -> str | None:
        return self._at(base) if level else self._find(base, importer)

    def _imports_file(self, importer: str, level: int, module: str, name: str) -> str | None:
        """The file that an import means, as `imports` and `imports_from` find it."""
        if not level:
            return self._find(f"{module}.{name}" if name else module, importer)
        folder = importer
        for _ in range(level):
            folder = os.path.dirname(folder)
        return self._at(os.path.join(folder, *module.split("."), *([name] if name else [])))

    def _member_of(
        self, module: Module | None, base: str | None, path: str | None, name: str, node: ast.ImportFrom, frame: Frame
    ) -> Value:
        if module is not None and name in module.scope:
            return module.scope[name]
        inner = None
        if node.level and base is not None:
            inner = self._at(os.path.join(base, name))
        elif base is not None:
            inner = self._find(f"{base}.{name}", frame.module.name)
        if inner is not None:
            return self._linked(frame, inner) or Unknown()
        if path is not None or node.level or base is None:
            return Unknown()
        return self.attribute(External(base), name)

    def _all(self, module: Module | None, library: str | None, frame: Frame) -> None:
        frame.module.stars += [library] if library is not None else module.stars if module is not None else []
        if module is not None:
            for name, value in list(module.scope.items()):
                if not name.startswith("_"):
                    self.bind(name, value, frame)

    def member(self, module: Module, name: str) -> Value:
        if name in module.scope:
            return super().member(module, name)
        inner = self._at(os.path.join(os.path.dirname(module.name), name))
        package = os.path.basename(module.name) == "__init__.py"
        return (self.module(inner) or Unknown()) if inner is not None and package else Unknown()

    def _find(self, name: str, importer: str) -> str | None:
        """The file of a module: beside the importer, in the folders above it, or in a folder that was given."""
        if name.partition(".")[0] in _NOT_READ:
            return None
        folder = os.path.dirname(importer)
        key = (name, folder)
        if key not in self._found:
            self._found[key] = next(
                (path for base in self._places(folder) if (path := self._at(os.path.join(base, *name.split("."))))),
                None,
            )
        return self._found[key]

    def _places(self, folder: str) -> list[str]:
        places = [folder]
        tops = [root for root in self.roots if folder == root or folder.startswith(root + os.sep)]
        top = min(tops, key=len) if tops else folder
        while folder != top and len(places) < 32:
            folder = os.path.dirname(folder)
            places.append(folder)
        return [*places, *(os.path.join(root, "src") for root in tops), *self.roots]

    def _at(self, stem: str) -> str | None:
        for path in (f"{stem}.py", os.path.join(stem, "__init__.py")):
            if path in self.files or self._is_beside(path):
                return path
        return None

    def _is_beside(self, path: str) -> bool:
        """Whether there is a file that was not given in the project of one that was given alone."""
        beside = path.startswith(self._around) and os.path.isfile(path)
        if beside:
            self.files[path] = Path(path)
        return beside


def _made(project: Project, model: Class | Function | Layer, caller: Output) -> Value:
    """What a model makes of arguments that are not known; NotImplemented where it is none."""
    place = model.call.place if isinstance(model, Layer) else model.module.source.place(model.node)
    instance: Value = model
    if isinstance(model, (Class, Function)):
        instance = project.call(model, Call([], {}, place, open=True))
    if not isinstance(instance, (Instance, Layer)):
        return NotImplemented
    given = {name: Unknown() for name in caller.names}
    arguments = Call([Unknown() for _ in range(caller.count)], given, place, open=not caller.called)
    return project.call(instance, arguments)
