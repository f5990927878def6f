"""Expressions: their abstract values."""

from __future__ import annotations

import ast
import builtins
import math
import operator
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import TypeGuard

from crossentropy.doctor._knowledge._facts import AS_TENSOR, integer, is_integer
from crossentropy.doctor._source import (
    _arithmetic,
    _by_hand,
    _cuts,
    _in_place,
    _libraries,
    _loaders,
    _masks,
    _parts,
    _records,
    _roles,
    _tokenizers,
)
from crossentropy.doctor._source._builtins import copied
from crossentropy.doctor._source._creation import same_dtype
from crossentropy.doctor._source._elements import contains, identical, item_of, named
from crossentropy.doctor._source._joins import doubtful, join
from crossentropy.doctor._source._journal import Journal
from crossentropy.doctor._source._options import Options
from crossentropy.doctor._source._report import Report
from crossentropy.doctor._source._values import (
    Bound,
    Bounded,
    Call,
    External,
    Function,
    Instance,
    Maybe,
    Module,
    Number,
    Place,
    Scope,
    Sequence,
    SettingFlag,
    Super,
    Tensor,
    Unknown,
    Value,
    is_known,
    is_setting,
    setting,
)

LONGEST = 4096
"""Elements of a list that is built, characters of a string."""


class Refused(Exception):  # noqa: N818 (not ours: an error of the program)
    """The program certainly fails here, and catches the error in the same function."""


class Exhausted(Exception):  # noqa: N818 (no error: a limit)
    """A program took more steps than it is worth."""


@dataclass
class Frame:
    """A function call, a module or a class body that is being executed."""

    scope: Scope
    module: Module
    function: Function | None = None
    owner: Value = None
    """The object whose method it is."""
    returns: list[Value] = field(default_factory=list)
    yields: list[Value] | None = None


_BINARY: dict[type[ast.operator], Callable[[Value, Value], Value]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.BitOr: operator.or_, ast.BitAnd: operator.and_,
}  # fmt: skip
_WHOLE = (ast.Add, ast.Sub, ast.Mult, ast.FloorDiv)
"""Operations that make integers of integers."""
_COMPARE: dict[type[ast.cmpop], Callable[[Value, Value], bool]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}  # fmt: skip


class Expressions(ABC):
    """Evaluates expressions; what calls and statements do is said by the classes that inherit."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.journal = Journal()
        self.steps = 0
        self.deadline = math.inf
        """Of the processor's time."""
        self.caught: frozenset[str] = frozenset()
        """Names of the errors that are caught where it is certain that this is executed."""
        self.options = Options()
        self.no_grad: Place | None = None
        """Where gradients were switched off."""
        self._kinds: dict[type[ast.AST], Callable[[Value, Frame], Value]] = {
            ast.Constant: self._constant, ast.Name: self._name, ast.Attribute: self._attribute, ast.Call: self._call,
            ast.BinOp: self._binary, ast.UnaryOp: self._unary, ast.BoolOp: self._boolean, ast.Compare: self._comparison,
            ast.IfExp: self._conditional, ast.Subscript: self._subscript, ast.Slice: self._slice,
            ast.Tuple: self._tuple,
            ast.List: self._list, ast.Set: self._list, ast.Dict: self._dict, ast.Lambda: self._lambda,
            ast.ListComp: self._comprehension, ast.SetComp: self._comprehension, ast.GeneratorExp: self._comprehension,
            ast.DictComp: self._dict_comprehension, ast.JoinedStr: self._text, ast.NamedExpr: self._walrus,
            ast.Await: self._inner, ast.Starred: self._inner, ast.Yield: self._yield, ast.YieldFrom: self._yield_from,
        }  # fmt: skip

    @abstractmethod
    def call(self, function: Value, call: Call) -> Value:
        """The value of a call."""

    @abstractmethod
    def attribute(self, owner: Value, name: str) -> Value:
        """The value of an attribute."""

    @abstractmethod
    def iterate(self, value: Value) -> Iterable[Value]:
        """The elements that a loop over a value is run for."""

    @abstractmethod
    def length(self, value: Value) -> Value:
        """How many elements a value has, if that is known."""

    @abstractmethod
    def assign(self, target: ast.expr, value: Value, frame: Frame) -> None:
        """Bind a target."""

    @abstractmethod
    def make_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, frame: Frame) -> Value:
        """The function that a definition makes."""

    @abstractmethod
    def noticed(self, scope: Scope, name: str) -> None:
        """A name of a scope around a function is read."""

    def evaluate(self, node: ast.expr, frame: Frame) -> Value:
        """The abstract value of an expression."""
        self.steps -= 1
        if self.steps < 0:
            raise Exhausted("many steps")
        if not self.steps & 255 and time.process_time() > self.deadline:
            raise Exhausted("long")
        kind = self._kinds.get(type(node))
        return Unknown() if kind is None else kind(node, frame)

    def place(self, node: ast.AST, frame: Frame) -> Place:
        """Where a node is."""
        return frame.module.source.place(node)

    def refuse(self, error: Exception) -> None:
        """An operation that certainly fails: goes on where the error is caught, if it is in the same function."""
        if not self.caught.isdisjoint(kind.__name__ for kind in type(error).__mro__):
            raise Refused from error

    @contextmanager
    def perhaps(self) -> Iterator[None]:
        """Follow something that may not be executed, or is not at this place: its errors are none of this place."""
        before, self.caught = self.caught, frozenset()
        try:
            yield
        finally:
            self.caught = before

    def truth(self, value: Value) -> bool | None:
        """Whether a condition holds, if that is known."""
        if isinstance(value, Tensor) and value.dtype == "bool" and value.rank == 0 and value.low == 1:
            return True
        if isinstance(value, (Unknown, Tensor, Number, Maybe)):
            return None
        if isinstance(value, Instance):
            return None if value.cls.find("__len__") or value.cls.find("__bool__") else True
        return bool(value) if is_known(value) or isinstance(value, (list, tuple, dict, range)) else True

    def _constant(self, node: ast.Constant, frame: Frame) -> Value:
        return node.value

    def _name(self, node: ast.Name, frame: Frame) -> Value:
        scope = frame.scope.find(node.id)
        if scope is not None:
            if scope is not frame.scope:
                self.noticed(scope, node.id)
            return scope[node.id]
        if hasattr(builtins, node.id):
            return External(f"builtins.{node.id}")
        return _libraries.starred(frame.module.stars, node.id)

    def _attribute(self, node: ast.Attribute, frame: Frame) -> Value:
        owner = self.evaluate(node.value, frame)
        if node.attr == "data" and isinstance(owner, Tensor) and owner.packed:
            shape = None if owner.shape is None else (Unknown(), *owner.shape[2:])  # rows and positions are one axis
            return owner.to(packed=False, source=Sequence(), shape=shape)
        if node.attr == "data" and isinstance(owner, Tensor):
            return owner.to(graph=False, cut=owner.cut if owner.graph is False else self.place(node, frame))
        return self.attribute(owner, node.attr)

    def _inner(self, node: ast.Await | ast.Starred, frame: Frame) -> Value:
        return self.evaluate(node.value, frame)

    def _call(self, node: ast.Call, frame: Frame) -> Value:
        if isinstance(node.func, ast.Name) and node.func.id == "super" and frame.function and frame.function.owner:
            return Super(frame.owner, frame.function.owner)
        if isinstance(node.func, ast.Attribute):
            owner = self._trained(node.func, self.evaluate(node.func.value, frame), frame)
            method = (
                Bound(owner, node.func.attr) if isinstance(owner, Unknown) else self.attribute(owner, node.func.attr)
            )
        else:
            method = self.evaluate(node.func, frame)
        call = self._arguments(node, frame)
        _roles.examine(self.report, node, method, call)
        result = _cuts.of_call(self.report, node, call.args, self.call(method, call), call.place)
        if isinstance(result, Tensor) and (changed := _in_place.changed(node, method, call)) is not None:
            self._changed(*changed, result, frame)
        return result

    def _trained(self, function: ast.Attribute, owner: Value, frame: Frame) -> Value:
        """What a method is called of; of loss.backward(), where no loss of torch is behind it, a loss from now on."""
        if function.attr != "backward" or not _in_place.is_unknown_loss(function.value, owner):
            return owner
        loss = self.report.own_loss(owner, self.place(function, frame))
        for value in (owner, *owner.terms) if isinstance(owner, Unknown) else ():
            self.journal.store(value.members, AS_TENSOR, loss)  # by whatever name it is kept
        self.assign(function.value, loss, frame)
        return loss

    def _changed(self, target: ast.expr, before: Value, result: Tensor, frame: Frame) -> None:
        """A tensor was changed in place: without gradients its graph stays as it was."""
        if self.no_grad is not None and isinstance(before, Tensor):
            result = result.to(graph=before.graph, cut=before.cut, own=before.own)
        self.assign(target, result, frame)

    def _arguments(self, node: ast.Call, frame: Frame) -> Call:
        call = Call([], {}, self.place(node, frame))
        for argument in node.args:
            value = self.evaluate(argument, frame)
            if not isinstance(argument, ast.Starred):
                call.args.append(value)
            elif (rows := _parts.unpacked(value)) is not None:
                call.args.extend(rows)
            else:
                call.open = True
        for keyword in node.keywords:
            value = self.evaluate(keyword.value, frame)
            if keyword.arg is not None:
                call.kwargs[keyword.arg] = value
            elif isinstance(value, dict):
                call.kwargs.update({name: item for name, item in value.items() if isinstance(name, str)})
            else:
                call.open = True
        return call

    def _binary(self, node: ast.BinOp, frame: Frame) -> Value:
        left, right = self.evaluate(node.left, frame), self.evaluate(node.right, frame)
        if isinstance(node.op, ast.Mult):
            left, right = _masks.factor(node.left, left, right), _masks.factor(node.right, right, left)
        return self.combine(node.op, left, right, self.place(node, frame))

    def combine(self, op: ast.operator, left: Value, right: Value, place: Place) -> Value:
        """The value of a binary operation."""
        if isinstance(left, (Tensor, Number)) or isinstance(right, (Tensor, Number)):
            return _arithmetic.combine(self.report, type(op), left, right, place)
        if isinstance(left, Unknown) and type(right) is int and isinstance(op, (ast.Add, ast.Sub)):
            return left.moved(right if isinstance(op, ast.Add) else -right)
        if isinstance(right, Unknown) and type(left) is int and isinstance(op, ast.Add):
            return right.moved(left)
        if isinstance(op, ast.Mod) and isinstance(left, Unknown) and type(right) is int and right > 0:
            return Tensor(kind="indices", dtype="long", shape=(), graph=False, low=0, high=right - 1)
        unknown = isinstance(left, Unknown) or isinstance(right, Unknown)
        if unknown and isinstance(op, _WHOLE) and is_integer(left) and is_integer(right):
            return integer(left, right)
        if unknown and isinstance(op, ast.Mult):
            return _repeated(left, right)
        if isinstance(op, ast.Add) and (isinstance(left, (list, tuple)) or isinstance(right, (list, tuple))):
            return _appended(left, right)
        if isinstance(op, ast.Pow) and is_small(left) and is_small(right) and abs(right) < 64:
            with suppress(ArithmeticError, ValueError):
                return left**right
        if type(op) not in _BINARY or not (_is_host(left) and _is_host(right)) or _is_large(op, left, right):
            return Unknown()
        with suppress(TypeError, ArithmeticError, ValueError):
            result = _BINARY[type(op)](left, right)
            return _as(left if is_setting(left) else right, result)
        return Unknown()

    def _unary(self, node: ast.UnaryOp, frame: Frame) -> Value:
        value = self.evaluate(node.operand, frame)
        if isinstance(node.op, ast.Not):
            known = self.truth(value)
            return Unknown() if known is None else _as(value, not known)
        if isinstance(value, Tensor):
            if isinstance(node.op, ast.UAdd):
                return value
            negative = isinstance(node.op, ast.USub)
            return _arithmetic.negate(value) if negative else _arithmetic.inverted(value)
        if isinstance(node.op, ast.USub) and isinstance(value, (int, float)):
            return -value
        return value if isinstance(node.op, ast.UAdd) else Unknown()

    def _boolean(self, node: ast.BoolOp, frame: Frame) -> Value:
        """Parts that are certainly passed over do not count; the rest may be the value."""
        stops = isinstance(node.op, ast.Or)
        possible: list[Value] = []
        passed: Value = None
        for index, part in enumerate(node.values):
            with self.perhaps() if possible else nullcontext():
                value = self.evaluate(part, frame)
            known = self.truth(value)
            if known is (not stops) and index < len(node.values) - 1:
                passed = value if is_setting(value) else passed
                continue
            possible.append(value)
            if known is stops:
                break
        result = possible[0]
        for value in possible[1:]:
            result = join(result, value)
        return _as(passed, result)

    def _comparison(self, node: ast.Compare, frame: Frame) -> Value:
        left = self.evaluate(node.left, frame)
        result: Value = True
        for op, right_node in zip(node.ops, node.comparators):
            right = self.evaluate(right_node, frame)
            result = _masks.compared(node, self._compare(op, left, right))
            if is_setting(left) or is_setting(right):
                self.options.compared(left, right if isinstance(right, (list, tuple, dict)) else [right])
                result = setting(result)
            if not isinstance(result, (bool, SettingFlag)) or not result:
                return result
            left = right
        return result

    def _compare(self, op: ast.cmpop, left: Value, right: Value) -> Value:
        if isinstance(op, (ast.Is, ast.IsNot)):
            same = identical(left, right)
            return Unknown() if same is None else same is isinstance(op, ast.Is)
        if isinstance(op, (ast.In, ast.NotIn)):
            contained = contains(right, left)
            return Unknown() if contained is None else contained is isinstance(op, ast.In)
        if isinstance(left, Tensor) or isinstance(right, Tensor):
            return _arithmetic.compare(type(op), left, right)
        if isinstance(left, External) and isinstance(right, External) and isinstance(op, (ast.Eq, ast.NotEq)):
            same = same_dtype(left, right)
            return Unknown() if same is None else same is isinstance(op, ast.Eq)
        alike = isinstance(left, External) is isinstance(right, External)
        if type(op) in _COMPARE and alike and all(_is_host(x) or isinstance(x, External) for x in (left, right)):
            with suppress(TypeError):
                return _COMPARE[type(op)](left, right)
        return Unknown()

    def _conditional(self, node: ast.IfExp, frame: Frame) -> Value:
        test = self.evaluate(node.test, frame)
        self.options.compared(test, (True, False))
        known = self.truth(test)
        if known is not None:
            result = self.evaluate(node.body if known else node.orelse, frame)
            return doubtful(result) if is_setting(test) else result
        with self.perhaps():
            return join(self.evaluate(node.body, frame), self.evaluate(node.orelse, frame))

    def _subscript(self, node: ast.Subscript, frame: Frame) -> Value:
        return self.item(self.evaluate(node.value, frame), self.evaluate(node.slice, frame), self.place(node, frame))

    def item(self, owner: Value, index: Value, place: Place) -> Value:
        """An element of something."""
        if isinstance(owner, Instance):
            method, held = owner.cls.find("__getitem__"), _records.values(owner)
            if held is not None and method is None:
                return item_of(tuple(held), index, place)
            if method is None and isinstance(base := owner.attributes.get("*base"), (dict, list)):
                return item_of(base, index, place)
            return self.call(Bound(owner, method), Call([index], {}, place)) if method else Unknown()
        if isinstance(owner, Tensor) and isinstance(index, tuple):
            _by_hand.crossed(self.report, owner, index, place)
        result = self.options.read(item_of(owner, index, place))
        if is_setting(index):
            self.options.compared(index, owner if isinstance(owner, dict) and "__name__" not in owner else ())
            return doubtful(result)
        return _as(owner, result) if isinstance(result, str) else result

    def _slice(self, node: ast.Slice, frame: Frame) -> Value:
        return slice(
            *(None if part is None else self.evaluate(part, frame) for part in (node.lower, node.upper, node.step))
        )

    def _elements(self, nodes: list[ast.expr], frame: Frame) -> list[Value]:
        values: list[Value] = []
        for node in nodes:
            value = self.evaluate(node, frame)
            if isinstance(node, ast.Starred):
                values.extend(value if isinstance(value, (list, tuple, range)) else self.iterate(value))
            else:
                values.append(value)
        return values[:LONGEST]

    def _tuple(self, node: ast.Tuple, frame: Frame) -> Value:
        return tuple(self._elements(node.elts, frame))

    def _list(self, node: ast.List | ast.Set, frame: Frame) -> Value:
        return self._elements(node.elts, frame)

    def _dict(self, node: ast.Dict, frame: Frame) -> Value:
        result: dict[Value, Value] = {}
        for key_node, value_node in zip(node.keys, node.values):
            value = self.evaluate(value_node, frame)
            if key_node is None:
                result.update(value if isinstance(value, dict) else {})
                continue
            key = self.evaluate(key_node, frame)
            with suppress(TypeError):
                result[key] = named(key, value)
            self.stored(key, value, self.place(value_node, frame), frame)
        return result

    def stored(self, key: Value, value: Value, place: Place, frame: Frame) -> None:
        """A value is put into a dictionary, or what may be one."""
        _tokenizers.given_as_labels(self.report, key, value, place, frame.module.source.text)

    def _lambda(self, node: ast.Lambda, frame: Frame) -> Value:
        return self.make_function(node, frame)

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp, frame: Frame) -> Value:
        result: list[Value] = []
        alike = _is_repeated(node)

        def store(inner: Frame) -> None:
            result.append(copied(result[1]) if alike and len(result) > 1 else self.evaluate(node.elt, inner))

        counted = self._generate(node.generators, frame, store)
        return result if counted else Bounded(result)

    def _dict_comprehension(self, node: ast.DictComp, frame: Frame) -> Value:
        result: dict[Value, Value] = {}

        def store(inner: Frame) -> None:
            with suppress(TypeError):
                result[self.evaluate(node.key, inner)] = self.evaluate(node.value, inner)

        self._generate(node.generators, frame, store)
        return result

    def _generate(self, generators: list[ast.comprehension], frame: Frame, body: Callable[[Frame], None]) -> bool:
        """Follow the body for each element; whether it is known for how many."""
        if not generators:
            body(frame)
            return True
        first, *others = generators
        inner = Frame(Scope(frame.scope), frame.module, frame.function, frame.owner)
        given = self.evaluate(first.iter, frame)
        counted = isinstance(self.length(given), int)
        for element in self.iterate(given):
            self.assign(first.target, element, inner)
            passes = [self.truth(self.evaluate(test, inner)) for test in first.ifs]
            counted = counted and None not in passes
            if False not in passes:
                with self.perhaps() if None in passes else nullcontext():
                    counted = self._generate(others, inner, body) and counted
        return counted

    def _text(self, node: ast.JoinedStr, frame: Frame) -> Value:
        parts: list[str] = []
        origin: Value = None
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                value = self.evaluate(part.value, frame)
                if part.format_spec is not None or not isinstance(value, (str, int)):
                    return Unknown()
                parts.append(str(value))
                origin = value if is_setting(value) else origin
            elif isinstance(part, ast.Constant):
                parts.append(str(part.value))
        return _as(origin, "".join(parts))

    def _walrus(self, node: ast.NamedExpr, frame: Frame) -> Value:
        value = self.evaluate(node.value, frame)
        self.assign(node.target, value, frame)
        return value

    def _yield(self, node: ast.Yield, frame: Frame) -> Value:
        value = None if node.value is None else self.evaluate(node.value, frame)
        if frame.yields is not None and len(frame.yields) < LONGEST:
            frame.yields.append(_loaders.side_by_side(value))
        return Unknown()

    def _yield_from(self, node: ast.YieldFrom, frame: Frame) -> Value:
        values = self.iterate(self.evaluate(node.value, frame))
        if frame.yields is not None:
            frame.yields.extend(values)
        return Unknown()


def _is_repeated(node: ast.ListComp | ast.SetComp | ast.GeneratorExp) -> bool:
    """Whether the elements are all made alike, as layers often are; remembered in its node."""
    known = getattr(node, "_repeated", None)
    if known is None:
        targets = {part.id for loop in node.generators for part in ast.walk(loop.target) if isinstance(part, ast.Name)}
        known = targets.isdisjoint(part.id for part in ast.walk(node.elt) if isinstance(part, ast.Name))
        node._repeated = known  # type: ignore[union-attr]
    return known


def is_small(value: Value) -> TypeGuard[float]:
    """Whether arithmetic with a number is cheap."""
    return isinstance(value, (int, float)) and abs(value) < 1e9


def _as(origin: Value, value: Value) -> Value:
    """A value that follows from another: from a default, another default."""
    return setting(value) if is_setting(origin) else value


def _is_host(value: Value) -> bool:
    return is_known(value) or isinstance(value, (list, tuple, dict))


def _is_large(op: ast.operator, left: Value, right: Value) -> bool:
    if isinstance(op, ast.Mod) and isinstance(left, (str, bytes)):
        return True
    sizes = [len(x) for x in (left, right) if isinstance(x, (list, tuple, str, bytes))]
    numbers = [x for x in (left, right) if isinstance(x, (int, float))]
    if isinstance(op, ast.Mult) and sizes and numbers:
        return sizes[0] * abs(numbers[0]) > LONGEST
    return sum(sizes) > LONGEST or any(not is_small(x) for x in numbers if isinstance(x, int))


def _repeated(left: Value, right: Value) -> Value:
    """A list times a number that is not known holds the same elements."""
    rows = left if isinstance(left, (list, tuple)) else right
    return [*rows, *rows] if isinstance(rows, list) else Unknown()


def _appended(left: Value, right: Value) -> Value:
    """One list after another, of which one may not be known."""
    if isinstance(left, list) and isinstance(right, list):
        return (left + right)[:LONGEST]
    if isinstance(left, tuple) and isinstance(right, tuple):
        return (left + right)[:LONGEST]
    rows = left if isinstance(left, (list, tuple)) else right
    return [*rows, Unknown()] if isinstance(left, list) or isinstance(right, list) else Unknown()
