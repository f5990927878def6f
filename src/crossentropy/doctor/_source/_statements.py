"""Statements: what they do to names, attributes and elements."""

from __future__ import annotations

import ast
import enum
from abc import abstractmethod
from collections.abc import Callable
from contextlib import nullcontext, suppress
from itertools import chain

from crossentropy.doctor._finding import Finding
from crossentropy.doctor._knowledge._facts import AS_TENSOR
from crossentropy.doctor._source import _assignment, _masks, _parts, _steps
from crossentropy.doctor._source._elements import named
from crossentropy.doctor._source._expressions import Exhausted, Expressions, Frame, Refused
from crossentropy.doctor._source._indexing import as_tensor
from crossentropy.doctor._source._joins import doubtful, join
from crossentropy.doctor._source._losses import NAMES
from crossentropy.doctor._source._names import used_in
from crossentropy.doctor._source._summaries import Summaries
from crossentropy.doctor._source._values import (
    Bound,
    Bounded,
    Call,
    Class,
    External,
    Function,
    Instance,
    Layer,
    Maybe,
    Partial,
    Scope,
    Tensor,
    Unknown,
    Value,
    is_setting,
)

SWITCHES = ("torch.no_grad", "torch.inference_mode", "torch.autograd.no_grad", "torch.set_grad_enabled",
            "torch.autograd.set_grad_enabled")  # fmt: skip
"""Context managers and decorators that switch gradients off."""


MOST_MIXED = 16
"""Elements of a list of which any may be replaced."""
MOST_LOOPS = 4
"""Loops within loops that are followed for more than one turn."""
DECORATOR_STEPS = 100
"""Expressions that are evaluated for one decorator."""


_OF_LOSSES = frozenset(["exp", *NAMES])
"""Names in what computes a loss, or the factor of a focal one."""


class Flow(enum.Enum):
    """How a statement ends."""

    NEXT = 0
    BREAK = 1
    CONTINUE = 2
    LEAVE = 3
    """return or raise."""


def _is_refused(node: ast.stmt) -> bool:
    """Whether a statement is `assert False`."""
    return isinstance(node, ast.Assert) and isinstance(node.test, ast.Constant) and not node.test.value


def _is_within(finding: Finding, body: list[ast.stmt], path: str) -> bool:
    """Whether some statements have all that makes a finding, so that it is one whatever else is chosen."""
    lines = range(body[0].lineno, (body[-1].end_lineno or body[-1].lineno) + 1)
    places = [] if finding.cause is None else [finding.place, finding.cause]
    whole = bool(places) and all(place.path == path and place.line in lines for place in places)
    return whole or finding.rule == "focal-on-reduced-loss"


def _caught(handlers: list[ast.ExceptHandler]) -> frozenset[str]:
    """The names of the errors that handlers catch."""
    kinds = [handler.type for handler in handlers]
    each = [part for kind in kinds for part in (kind.elts if isinstance(kind, ast.Tuple) else [kind])]
    return frozenset("BaseException" if part is None else _assignment.dotted(part) for part in each)


def _handler(node: ast.Try, refused: Refused) -> ast.ExceptHandler | None:
    """The first handler that catches an error."""
    kinds = {kind.__name__ for kind in type(refused.__cause__).__mro__}
    return next((handler for handler in node.handlers if not _caught([handler]).isdisjoint(kinds)), None)


class Statements(Expressions):
    """Executes statements."""

    def __init__(self, *arguments: Value) -> None:
        super().__init__(*arguments)
        self.loops = self.endless = 0
        self.uncounted: dict[int, list[Value]] = {}
        self.summaries = Summaries(self.report)
        self._statements: dict[type[ast.AST], Callable[[Value, Frame], Flow | None]] = {
            ast.Expr: self._expression, ast.Assign: self._assign, ast.AnnAssign: self._annotated,
            ast.AugAssign: self._augmented, ast.If: self._if, ast.For: self._for, ast.AsyncFor: self._for,
            ast.While: self._while, ast.With: self._with, ast.AsyncWith: self._with, ast.Return: self._return,
            ast.Raise: self._raise, ast.Try: self._try, ast.FunctionDef: self._function,
            ast.AsyncFunctionDef: self._function,
            ast.ClassDef: self._class, ast.Import: self.imports, ast.ImportFrom: self.imports_from,
            ast.Global: self._global,
            ast.Nonlocal: self._nonlocal, ast.Break: lambda *_: Flow.BREAK, ast.Continue: lambda *_: Flow.CONTINUE,
            ast.Delete: self._delete, ast.Assert: self._assert, ast.Match: self._match,
        }  # fmt: skip
        star = getattr(ast, "TryStar", None)  # since Python 3.11
        if star is not None:
            self._statements[star] = self._try

    @abstractmethod
    def imports(self, node: ast.Import, frame: Frame) -> None:
        """Bind modules to names."""

    @abstractmethod
    def imports_from(self, node: ast.ImportFrom, frame: Frame) -> None:
        """Bind members of a module to names."""

    @abstractmethod
    def configured(self, function: Function, main: Layer) -> None:
        """A function that hydra.main calls with the configuration."""

    def run(self, body: list[ast.stmt], frame: Frame) -> Flow:
        """Execute statements up to the first that leaves."""
        for i, node in enumerate(body):
            statement = self._statements.get(type(node))
            flow = None if statement is None else statement(node, frame)
            if flow is not None and flow is not Flow.NEXT:
                if flow is Flow.LEAVE and isinstance(node, ast.If):
                    self._passed_over(body[i + 1 :], frame)
                return flow
        return Flow.NEXT

    def _passed_over(self, body: list[ast.stmt], frame: Frame) -> None:
        """What options are compared with where a default leads elsewhere."""
        for node in body:
            if isinstance(node, ast.If) and _is_plain(node.test):
                self.evaluate(node.test, frame)
                self._passed_over(node.orelse, frame)

    # --- bindings -----------------------------------------------------------------------------------------------------

    def bind(self, name: str, value: Value, frame: Frame) -> None:
        """Bind a name."""
        scope = frame.scope.elsewhere.get(name, frame.scope)
        self.journal.store(scope, name, named(name, value))

    def assign(self, target: ast.expr, value: Value, frame: Frame) -> None:
        if isinstance(target, ast.Name):
            self.bind(target.id, value, frame)
        elif isinstance(target, ast.Attribute):
            self.set_attribute(self.evaluate(target.value, frame), target.attr, value)
        elif isinstance(target, ast.Subscript):
            self._set_item(target, value, frame)
        elif isinstance(target, (ast.Tuple, ast.List)):
            self._unpack(target.elts, value, frame)
        elif isinstance(target, ast.Starred):
            self.assign(target.value, value, frame)

    def _unpack(self, targets: list[ast.expr], value: Value, frame: Frame) -> None:
        values = self._several(value, len(targets))
        star = next((i for i, target in enumerate(targets) if isinstance(target, ast.Starred)), None)
        if star is not None and len(values) >= len(targets) - 1:
            after = len(targets) - star - 1
            end = len(values) - after
            values = [*values[:star], list(values[star:end]), *values[end:]]
        if len(values) != len(targets):
            values = [Unknown() for _ in targets]
        for target, item in zip(targets, values):
            self.assign(target, item.value if isinstance(item, Maybe) else item, frame)

    def _several(self, value: Value, count: int) -> list[Value]:
        if isinstance(value, Unknown):
            sizes = [value.member((i,)) for i in range(count)]
            self._told_shape(value, sizes)
            return sizes
        if isinstance(value, Tensor):
            return _assignment.unpacked(value, count)
        if isinstance(value, (list, tuple, range, dict, str)):
            return list(value)
        return list(self.iterate(value))

    def _told_shape(self, value: Unknown, sizes: list[Value]) -> None:
        """A shape that is taken apart says how many axes something has."""
        owner = value.owner
        if owner is not None and any(owner.members.get(key) is value for key in ("shape", ("size",))):
            self.journal.store(owner.members, AS_TENSOR, as_tensor(owner).to(shape=tuple(sizes)))

    def set_attribute(self, owner: Value, name: str, value: Value) -> None:
        """owner.name = value."""
        value = named(name, value)
        if isinstance(owner, (Instance, Layer)):
            if name == "requires_grad" and owner.attributes.get("owner") is not None:
                self.journal.store(owner.attributes["owner"].attributes, "frozen", value is False)
            self.journal.store(owner.attributes, name, value)
        elif isinstance(owner, Class):
            self.journal.store(owner.scope, name, value)
        elif isinstance(owner, Unknown):
            self.journal.store(owner.members, name, value)
        elif isinstance(owner, dict):
            self.journal.store(owner, name, value)

    def _set_item(self, target: ast.Subscript, value: Value, frame: Frame) -> None:
        owner, index = self.evaluate(target.value, frame), self.evaluate(target.slice, frame)
        if isinstance(owner, (dict, Unknown)):
            self.stored(index, value, self.place(target, frame), frame)
        if isinstance(owner, dict) and isinstance(index, (str, int, float, tuple, External, bool)):
            self.report.kept(chain([value], reversed(owner.values())), self.place(target, frame))
            try:
                self.journal.store(owner, index, named(index, value))
            except TypeError:  # a tuple that holds a list
                return
        elif isinstance(owner, list):
            rows = self.journal.change(owner)
            if type(index) is int and -len(rows) <= index < len(rows):
                rows[index] = value
            elif isinstance(index, Unknown) and len(rows) <= MOST_MIXED:
                rows[:] = [join(row, value) for row in rows]
        elif isinstance(owner, Tensor):
            self.assign(target.value, _assignment.stored(owner, index, value, self.place(target, frame)), frame)
        elif isinstance(owner, Layer) and owner.kind in _parts.CONTAINERS:
            _parts.stored(self.journal, owner, index, value)
        elif isinstance(owner, Unknown) and isinstance(index, (str, int)):
            self.journal.store(owner.members, (index,), value)
        elif isinstance(owner, Instance) and (method := owner.cls.find("__setitem__")):
            self.call(_assignment.bound(owner, method), Call([index, value], {}, self.place(target, frame)))

    def _expression(self, node: ast.Expr, frame: Frame) -> None:
        self.evaluate(node.value, frame)

    def _assign(self, node: ast.Assign, frame: Frame) -> None:
        value = self.evaluate(node.value, frame)
        for target in node.targets:
            self.assign(target, value, frame)

    def _annotated(self, node: ast.AnnAssign, frame: Frame) -> None:
        if node.value is not None:
            self.assign(node.target, self.evaluate(node.value, frame), frame)

    def _augmented(self, node: ast.AugAssign, frame: Frame) -> None:
        left, right = self.evaluate(node.target, frame), self.evaluate(node.value, frame)
        place = self.place(node, frame)
        if isinstance(left, list) and isinstance(node.op, ast.Add):
            items = list(right) if isinstance(right, (list, tuple)) else [Maybe(Unknown())]
            self.journal.change(left).extend(items)
            self.report.kept(reversed(left), place)
            return
        right = _masks.factor(node.value, right, left) if isinstance(node.op, ast.Mult) else right
        with self.report.silence() if _steps.is_of_one_step(node) else nullcontext():
            value = self.combine(node.op, left, right, place)
        self.assign(node.target, value, frame)

    # --- branches and loops -------------------------------------------------------------------------------------------

    def _if(self, node: ast.If, frame: Frame) -> Flow:
        test = self.evaluate(node.test, frame)
        self.options.compared(test, (True, False))
        known = self.truth(test)
        if known is not None and not self._leads_nowhere(node, test, frame):
            body, other = (node.body, node.orelse) if known else (node.orelse, node.body)
            if not is_setting(test):
                return self.run(body, frame)
            if known:
                self._passed_over(node.orelse, frame)
            self._beside(other, frame)
            return self._by_default(body, frame)
        return self._both(lambda: self.run(node.body, frame), lambda: self.run(node.orelse, frame))

    def _leads_nowhere(self, node: ast.If, test: Value, frame: Frame) -> bool:
        """Whether no way is meant by a default, which then stands for something that is always given."""
        if not is_setting(test) or test or not node.orelse:
            return False
        first = node.orelse[0]
        if isinstance(first, ast.If):
            return self._leads_nowhere(first, self.evaluate(first.test, frame), frame)
        return isinstance(first, ast.Raise) or _is_refused(first)

    def _by_default(self, body: list[ast.stmt], frame: Frame) -> Flow:
        """The way that a default leads: what it changes or gives back is likely only."""
        given = len(frame.returns)
        flow = self.journal.doubted(lambda: self.run(body, frame))
        frame.returns[given:] = [doubtful(value) for value in frame.returns[given:]]
        return flow

    def _beside(self, body: list[ast.stmt], frame: Frame) -> None:
        """The way that a default does not lead: what is wrong with it whatever else is chosen is told, as likely."""
        if not any(used_in(part) & _OF_LOSSES for part in body):
            return
        given = len(frame.returns)
        with self.report.apart() as found, self.perhaps():
            self.journal.aside(lambda: self.run(body, frame))
        del frame.returns[given:]
        if self.report.listens:
            self.report.several([{}, found], lambda finding: _is_within(finding, body, frame.module.source.shown))

    def _both(self, first: Callable[[], Flow], second: Callable[[], Flow]) -> Flow:
        """Two ways; those that go on are joined."""
        flows: list[Flow] = []

        def way(run: Callable[[], Flow]) -> bool:
            flows.append(run())
            return flows[-1] is Flow.NEXT

        before, self.caught = self.caught, frozenset()
        try:
            self.journal.fork(lambda: way(first), lambda: way(second))
        finally:
            self.caught = before
        a, b = flows
        if Flow.NEXT in (a, b):
            return Flow.NEXT
        return a if a is b else Flow.CONTINUE if Flow.CONTINUE in (a, b) else Flow.BREAK

    def _match(self, node: ast.Match, frame: Frame) -> Flow:
        subject = self.evaluate(node.subject, frame)
        flow, open_ = Flow.NEXT, False
        for case in node.cases:
            known = self._matches(case, subject, frame)
            if known and not open_:
                return self._by_default(case.body, frame) if is_setting(subject) else self.run(case.body, frame)
            if known is not False:
                open_, body = True, case.body
                flow = self._both(lambda: self.run(body, frame), lambda: Flow.NEXT)  # noqa: B023 (called at once)
        return flow

    def _matches(self, case: ast.match_case, subject: Value, frame: Frame) -> bool | None:
        """Whether a case is the one, if that is known; a name that it gives the subject is bound."""
        known = self._fits(case.pattern, subject, frame)
        if known is False or case.guard is None:
            return known
        guard = self.truth(self.evaluate(case.guard, frame))
        return False if guard is False else known if guard else None

    def _fits(self, pattern: ast.pattern, subject: Value, frame: Frame) -> bool | None:
        if isinstance(pattern, ast.MatchValue):
            return self.truth(self._compare(ast.Eq(), subject, self.evaluate(pattern.value, frame)))
        if isinstance(pattern, ast.MatchSingleton):
            return self.truth(self._compare(ast.Is(), subject, pattern.value))
        if isinstance(pattern, ast.MatchOr):
            found = [self._fits(part, subject, frame) for part in pattern.patterns]
            return True if True in found else None if None in found else False
        if isinstance(pattern, ast.MatchAs):
            known = True if pattern.pattern is None else self._fits(pattern.pattern, subject, frame)
            if pattern.name is not None and known is not False:
                self.bind(pattern.name, subject, frame)
            return known
        return None

    def _for(self, node: ast.For | ast.AsyncFor, frame: Frame) -> Flow:
        given = self.evaluate(node.iter, frame)
        rows = list(self.iterate(given)) or ([Maybe(Unknown())] if isinstance(given, list) else [])
        elements = _assignment.some(rows, self._turns(node))
        counted = isinstance(given, (list, tuple, dict, range, str)) and not isinstance(given, Bounded)
        cut = len(elements) < len(rows) or not counted
        _steps.mark(node)
        self.loops += 1
        self.endless += cut
        flow = Flow.NEXT
        try:
            for element in elements:
                item = element.value if isinstance(element, Maybe) else element
                self.assign(node.target, item, frame)
                flow = self._turn(node.body, frame, isinstance(element, Maybe))
                if flow in (Flow.BREAK, Flow.LEAVE):
                    break
        finally:
            self.loops -= 1
            self.endless -= cut
        if flow is Flow.LEAVE:
            return flow
        return Flow.NEXT if flow is Flow.BREAK else self.run(node.orelse, frame)

    def _turn(self, body: list[ast.stmt], frame: Frame, perhaps: bool) -> Flow:
        if perhaps:
            return self._both(lambda: self.run(body, frame), lambda: Flow.NEXT)
        return self.run(body, frame)

    def _turns(self, node: ast.For | ast.AsyncFor) -> int:
        """How often a loop is followed: training shows in two steps, what is built up needs more."""
        known = getattr(node, "_turns", None)
        if known is None:
            parts = list(ast.walk(node))
            trains = any(
                isinstance(part, ast.Attribute) and part.attr in ("backward", "step", "zero_grad") for part in parts
            )
            known = 3 if trains or len(parts) > 400 else 16
            node._turns = known  # type: ignore[attr-defined]
        return max(self._fewest_turns(), known if self.loops == 0 else known // (self.loops + 1))

    def _fewest_turns(self) -> int:
        """Twice, to see what a loop does to itself; within many loops once, since turns multiply."""
        return 2 if self.loops < MOST_LOOPS else 1

    def _while(self, node: ast.While, frame: Frame) -> Flow:
        _steps.mark(node)
        self.loops += 1
        self.endless += 1
        flow = Flow.NEXT
        try:
            for _ in range(self._fewest_turns()):
                known = self.truth(self.evaluate(node.test, frame))
                if known is False:
                    break
                with nullcontext() if known else self.perhaps():
                    flow = self.run(node.body, frame)
                if flow in (Flow.BREAK, Flow.LEAVE):
                    break
        finally:
            self.loops -= 1
            self.endless -= 1
        return flow if flow is Flow.LEAVE else Flow.NEXT

    def _with(self, node: ast.With | ast.AsyncWith, frame: Frame) -> Flow:
        before = self.no_grad
        for item in node.items:
            value = self.evaluate(item.context_expr, frame)
            if isinstance(value, Layer) and value.name in SWITCHES:
                off = not (value.name.endswith("enabled") and value.call.get("mode", 0) is not False)
                self.no_grad = value.call.place if off else None
            elif isinstance(value, Layer) and value.name.endswith("enable_grad"):
                self.no_grad = None
            if isinstance(value, Instance) and (method := value.cls.find("__enter__")):
                value = self.call(_assignment.bound(value, method), Call([], {}, self.place(node, frame)))
            if item.optional_vars is not None:
                self.assign(item.optional_vars, value, frame)
        try:
            return self.run(node.body, frame)
        finally:
            self.no_grad = before

    def _return(self, node: ast.Return, frame: Frame) -> Flow:
        frame.returns.append(None if node.value is None else self.evaluate(node.value, frame))
        return Flow.LEAVE

    def _raise(self, node: ast.Raise, frame: Frame) -> Flow:
        if node.exc is not None:
            self.evaluate(node.exc, frame)
        return Flow.LEAVE

    def _try(self, node: ast.Try, frame: Frame) -> Flow:
        """Without an error that is not certain; what the handlers do is then followed and forgotten."""
        handler, flow = self._tried(node, frame)
        if handler is not None:
            if handler.name is not None:
                self.bind(handler.name, Unknown(), frame)
            flow = self.run(handler.body, frame)
        else:
            for other in node.handlers:
                self._aside(other, frame)
            flow = self.run(node.orelse, frame) if flow is Flow.NEXT else flow
        last = self.run(node.finalbody, frame)
        return last if last is not Flow.NEXT else flow

    def _tried(self, node: ast.Try, frame: Frame) -> tuple[ast.ExceptHandler | None, Flow]:
        """The body, and the handler that catches its error, if it has one for certain."""
        before = self.caught
        self.caught = before | _caught(node.handlers)
        try:
            return None, self.run(node.body, frame)
        except Refused as error:
            handler = _handler(node, error)
            if handler is None:
                raise
            return handler, Flow.NEXT
        finally:
            self.caught = before

    def _aside(self, handler: ast.ExceptHandler, frame: Frame) -> None:
        inner = Frame(Scope(frame.scope), frame.module, frame.function, frame.owner)
        with self.perhaps():
            self.journal.fork(lambda: self.run(handler.body, inner) is None, lambda: True)

    def _assert(self, node: ast.Assert, frame: Frame) -> Flow:
        self.evaluate(node.test, frame)
        return Flow.LEAVE if _is_refused(node) else Flow.NEXT

    def _delete(self, node: ast.Delete, frame: Frame) -> None:
        for target in node.targets:
            if isinstance(target, ast.Name) and target.id in frame.scope:
                self.journal.store(frame.scope, target.id, Unknown())
            elif isinstance(target, ast.Subscript):
                owner = self.evaluate(target.value, frame)
                index = self.evaluate(target.slice, frame)
                if isinstance(owner, list) and type(index) is int and -len(owner) <= index < len(owner):
                    del self.journal.change(owner)[index]
                elif isinstance(owner, Layer) and owner.kind in _parts.CONTAINERS:
                    _parts.removed(self.journal, owner, index)

    # --- definitions --------------------------------------------------------------------------------------------------

    def _global(self, node: ast.Global, frame: Frame) -> None:
        self.summaries.spoil()
        frame.scope.elsewhere.update(dict.fromkeys(node.names, frame.module.scope))

    def _nonlocal(self, node: ast.Nonlocal, frame: Frame) -> None:
        self.summaries.spoil()
        for name in node.names:
            outer = frame.scope.parent.find(name) if frame.scope.parent is not None else None
            if outer is not None:
                frame.scope.elsewhere[name] = outer

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef, frame: Frame) -> None:
        function = self.make_function(node, frame)
        wrapped = self._decorate(node, function, frame)
        is_wrapped = isinstance(wrapped, Function) and len(node.decorator_list) == 1
        self.bind(node.name, wrapped if is_wrapped else function, frame)

    def _decorate(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, value: Value, frame: Frame
    ) -> Value:
        """Decorators that are read may register what they are given, or wrap it; what the first of them gives."""
        result: Value = None
        for decorator in node.decorator_list:
            function = self.evaluate(decorator, frame)
            if isinstance(function, Layer) and function.name == "hydra.main" and isinstance(value, Function):
                self.configured(value, function)
            if isinstance(function, (Function, Bound, Partial)):
                result = self._briefly(function, Call([value], {}, self.place(node, frame)))
        return result

    def _briefly(self, function: Value, call: Call) -> Value:
        """Follow a decorator for a few steps: entries of a registry need no more."""
        left, result = self.steps, None
        self.steps = min(left, DECORATOR_STEPS)
        with suppress(Exhausted):
            result = self.call(function, call)
        self.steps = left - DECORATOR_STEPS + max(self.steps, 0) if left > DECORATOR_STEPS else self.steps
        return result

    def make_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, frame: Frame) -> Value:
        arguments = node.args
        positional = [*arguments.posonlyargs, *arguments.args]
        defaults: dict[str, Value] = {}
        if arguments.defaults:
            for argument, default in zip(positional[-len(arguments.defaults) :], arguments.defaults):
                defaults[argument.arg] = named(argument.arg, self.evaluate(default, frame))
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults):
            if default is not None:
                defaults[argument.arg] = named(argument.arg, self.evaluate(default, frame))
        if isinstance(node, ast.Lambda):
            return Function(node, frame.scope, frame.module, defaults)
        marks = frozenset(_assignment.dotted(decorator) for decorator in node.decorator_list)
        return Function(node, frame.scope, frame.module, defaults, node.name, marks)

    def _class(self, node: ast.ClassDef, frame: Frame) -> None:
        bases = [self.evaluate(base, frame) for base in node.bases]
        scope = Scope(frame.scope)
        cls = Class(node.name, node, bases, scope, frame.module)
        self.run(node.body, Frame(scope, frame.module, frame.function, frame.owner))
        for value in scope.values():
            if isinstance(value, Function) and value.owner is None:
                value.owner = cls
                value.scope = (
                    value.scope.parent if value.scope is scope and value.scope.parent is not None else value.scope
                )
        marks = {_assignment.dotted(decorator) for decorator in node.decorator_list}
        inherited = [base for base in bases if isinstance(base, Class) and base.records]
        cls.records = any(mark.endswith(("dataclass", "define", "attrs.define")) for mark in marks) or bool(inherited)
        cls.records = cls.records or any(isinstance(base, External) and base.name.endswith(("NamedTuple", "BaseModel"))
                                         for base in bases)  # fmt: skip
        cls.fields = [name for base in inherited for name in base.fields]
        for line in node.body:
            if (
                isinstance(line, ast.AnnAssign)
                and isinstance(line.target, ast.Name)
                and line.target.id not in cls.fields
            ):
                cls.fields.append(line.target.id)
        self.bind(node.name, cls, frame)
        self._decorate(node, cls, frame)


def _is_plain(test: ast.expr) -> bool:
    """Whether a test compares a variable, or an attribute of one, with constants."""
    if not isinstance(test, ast.Compare) or not isinstance(test.left, (ast.Name, ast.Attribute)):
        return False
    names = (ast.Name, ast.Attribute, ast.Constant, ast.Tuple, ast.List, ast.expr_context, ast.cmpop)
    return all(isinstance(part, names) for part in ast.walk(test) if part is not test)
