"""Python's own functions, and the few of the standard library that programs are put together with."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from contextlib import nullcontext, suppress

from crossentropy.doctor._knowledge._facts import INTEGER
from crossentropy.doctor._source import _by_name, _loaders, _random
from crossentropy.doctor._source._indexing import as_tensor, read
from crossentropy.doctor._source._interpreter import Interpreter
from crossentropy.doctor._source._values import (
    Bound,
    Bounded,
    Call,
    Choice,
    Class,
    External,
    Function,
    Instance,
    Layer,
    Maybe,
    Number,
    Partial,
    Tensor,
    Unknown,
    Value,
    is_known,
)


def is_generator(node: ast.AST) -> bool:
    """Whether a function yields; remembered in its node."""
    known = getattr(node, "_yields", None)
    if known is None:
        known = _yields(node)
        node._yields = known  # type: ignore[attr-defined]
    return known


def _yields(node: ast.AST) -> bool:
    waiting = list(getattr(node, "body", []))
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, (ast.Yield, ast.YieldFrom)):
            return True
        if not isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            waiting.extend(ast.iter_child_nodes(inner))
    return False


def call(run: Interpreter, name: str, arguments: Call) -> Value:
    """A builtin function."""
    function = _FUNCTIONS.get(name)
    if function is not None:
        return function(run, arguments)
    return Layer(name, arguments) if name[:1].isupper() else Unknown()


def _first(arguments: Call) -> Value:
    return arguments.args[0] if arguments.args else None


def _len(run: Interpreter, arguments: Call) -> Value:
    value = _first(arguments)
    if isinstance(value, Layer) and value.items and value.kind in ("ModuleList", "Sequential", "ModuleDict"):
        return len(value.items)
    if isinstance(value, Unknown):
        length = value.member("len()")
        length.number = length.number or INTEGER
        return length
    return _loaders.length(run, value)


def _range(run: Interpreter, arguments: Call) -> Value:
    if arguments.args and all(type(arg) is int for arg in arguments.args):
        with suppress(ValueError, TypeError):
            return range(*arguments.args)
    return Unknown()


def _slice(run: Interpreter, arguments: Call) -> Value:
    return slice(*arguments.args) if 0 < len(arguments.args) < 4 else Unknown()


def _elements(run: Interpreter, value: Value) -> list[Value]:
    return list(run.iterate(value))


def _enumerate(run: Interpreter, arguments: Call) -> Value:
    start = arguments.get("start", 1, 0)
    first = start if type(start) is int else 0
    given = _first(arguments)
    pairs = [_maybe(item, lambda value, i=i: (i, value)) for i, item in enumerate(_elements(run, given), first)]
    counted = isinstance(given, (list, tuple, dict, range, str)) and not isinstance(given, Bounded)
    return pairs if counted else Bounded(pairs)


def _maybe(item: Value, make: Callable[[Value], Value]) -> Value:
    return Maybe(make(item.value)) if isinstance(item, Maybe) else make(item)


def _zip(run: Interpreter, arguments: Call) -> Value:
    columns = [_elements(run, value) for value in arguments.args]
    unknown = [isinstance(value, Unknown) for value in arguments.args]
    longest = max((len(c) for c, u in zip(columns, unknown) if not u), default=2)
    columns = [[Unknown() for _ in range(longest)] if u else c for c, u in zip(columns, unknown)]
    counted = all(isinstance(_loaders.length(run, value), int) for value in arguments.args)
    return (list if counted else Bounded)(zip(*columns))


def _list(run: Interpreter, arguments: Call) -> Value:
    value = _first(arguments)
    if isinstance(value, Unknown):
        return [Maybe(Unknown()), Maybe(Unknown())]
    return [] if not arguments.args else _elements(run, value)


def _tuple(run: Interpreter, arguments: Call) -> Value:
    value = _first(arguments)
    return value if isinstance(value, Unknown) else tuple(_elements(run, value)) if arguments.args else ()


def _dict(run: Interpreter, arguments: Call) -> Value:
    table: dict[Value, Value] = {}
    first = _first(arguments)
    if isinstance(first, dict):
        table.update(first)
    elif isinstance(first, (list, tuple)):
        for item in first:
            if isinstance(item, (tuple, list)) and len(item) == 2 and isinstance(item[0], (str, int, External)):
                table[item[0]] = item[1]
    return table | arguments.kwargs


def _sum(run: Interpreter, arguments: Call) -> Value:
    given = _first(arguments)
    if isinstance(given, Unknown):
        return Unknown.of(given)
    values = _elements(run, given)
    numbers = [value for value in values if not isinstance(value, Maybe)]
    if numbers and all(type(value) in (int, float) for value in numbers) and len(numbers) == len(values):
        return sum(numbers)
    total: Value = arguments.get("start", 1, 0)
    with run.report.silence() if run.report.keeps(numbers) else nullcontext():
        for value in numbers:
            total = run.combine(ast.Add(), total, value, arguments.place)
    return total if numbers else Unknown()


def _extreme(choose: Callable[..., Value]) -> Callable[[Interpreter, Call], Value]:
    def function(run: Interpreter, arguments: Call) -> Value:
        values = list(arguments.args) if len(arguments.args) > 1 else _elements(run, _first(arguments))
        if values and "key" not in arguments.kwargs and all(type(value) in (int, float) for value in values):
            return choose(values)
        return Unknown()

    return function


def _number(kind: type[int] | type[float]) -> Callable[[Interpreter, Call], Value]:
    def function(run: Interpreter, arguments: Call) -> Value:
        value = _first(arguments)
        if isinstance(value, Tensor):
            if value.parts:
                return Number(value.to(graph=False, cut=arguments.place), arguments.place)
            return read(value) if kind is int else Unknown()
        if (
            isinstance(value, (int, float, str))
            and len(arguments.args) == 1
            and (not isinstance(value, str) or len(value) < 32)
        ):
            try:
                return value if type(value) is kind or (isinstance(value, int) and kind is int) else kind(value)
            except (ValueError, OverflowError) as error:
                run.refuse(error)
        if kind is int and isinstance(value, Unknown):
            return value.moved(0, value.number or INTEGER)
        return value if isinstance(value, (Number, Unknown)) else Unknown()

    return function


def _getattr(run: Interpreter, arguments: Call) -> Value:
    value = _by_name.member(run, _first(arguments), arguments.args[1] if len(arguments.args) > 1 else None)
    has = not (isinstance(value, Bound) and isinstance(value.method, str))
    return value if has or len(arguments.args) < 3 else arguments.args[2]


def _setattr(run: Interpreter, arguments: Call) -> Value:
    if len(arguments.args) == 3 and isinstance(arguments.args[1], str):
        run.set_attribute(arguments.args[0], arguments.args[1], arguments.args[2])


def _hasattr(run: Interpreter, arguments: Call) -> Value:
    owner, name = (*arguments.args, None, None)[:2]
    if isinstance(owner, Instance) and isinstance(name, str) and not owner.cls.external():
        return name in owner.attributes or owner.cls.find(name) is not None
    return True if isinstance(owner, Instance) and isinstance(name, str) and name in owner.attributes else Unknown()


def _isinstance(run: Interpreter, arguments: Call) -> Value:
    value, kinds = (*arguments.args, None, None)[:2]
    options = list(kinds) if isinstance(kinds, tuple) else [kinds]
    answers = [_is_a(value, kind) for kind in options]
    return True if True in answers else Unknown() if None in answers else False


_KINDS: dict[str, tuple[type, ...]] = {
    "str": (str,), "int": (int,), "float": (float,), "list": (list,), "tuple": (tuple,), "dict": (dict,),
    "bool": (bool,),
}  # fmt: skip


def _is_a(value: Value, kind: Value) -> bool | None:
    if isinstance(value, (Unknown, Choice)):
        return None
    if isinstance(kind, Class):
        return isinstance(value, Instance) and kind in value.cls.lineage()
    if not isinstance(kind, External):
        return None
    name = kind.name.removeprefix("builtins.")
    if name in _KINDS:
        return isinstance(value, _KINDS[name])
    if name.endswith("Tensor"):
        return isinstance(value, Tensor)
    if isinstance(value, Layer):
        return True if value.name == name else None if "torch" in name else False
    if isinstance(value, Instance):
        return name in [base.name for base in value.cls.lineage() if isinstance(base, External)] or None
    return False if is_known(value) or isinstance(value, (Tensor, list, tuple, dict)) else None


def _map(run: Interpreter, arguments: Call) -> Value:
    function = _first(arguments)
    rows = zip(*(_elements(run, value) for value in arguments.args[1:]))
    return [run.call(function, Call([_plain(item) for item in row], {}, arguments.place)) for row in list(rows)[:64]]


def _plain(item: Value) -> Value:
    return item.value if isinstance(item, Maybe) else item


def _same_items(run: Interpreter, arguments: Call) -> Value:
    value = _first(arguments)
    return value if isinstance(value, Unknown) else _elements(run, value)


def _type(run: Interpreter, arguments: Call) -> Value:
    value = _first(arguments)
    return value.cls if isinstance(value, Instance) and len(arguments.args) == 1 else Unknown()


def _str(run: Interpreter, arguments: Call) -> Value:
    value = _first(arguments)
    return str(value) if isinstance(value, (str, int, float)) else Unknown()


def _bool(run: Interpreter, arguments: Call) -> Value:
    known = run.truth(_first(arguments))
    return Unknown() if known is None else known


def _next(run: Interpreter, arguments: Call) -> Value:
    value = _first(arguments)
    items = _elements(run, value) if not isinstance(value, Unknown) else []
    return _plain(items[0]) if items else Unknown()


def _abs(run: Interpreter, arguments: Call) -> Value:
    value = _first(arguments)
    return (
        abs(value)
        if isinstance(value, (int, float))
        else as_tensor(value).plain()
        if isinstance(value, Tensor)
        else Unknown()
    )


def _round(run: Interpreter, arguments: Call) -> Value:
    value = _first(arguments)
    if isinstance(value, (int, float)) and math.isfinite(value):
        return round(value)
    return Unknown()


_FUNCTIONS: dict[str, Callable[[Interpreter, Call], Value]] = {
    "slice": _slice, "len": _len, "range": _range, "enumerate": _enumerate, "zip": _zip, "list": _list,
    "tuple": _tuple, "dict": _dict,
    "set": _list, "frozenset": _list, "sum": _sum, "max": _extreme(max), "min": _extreme(min), "int": _number(int),
    "float": _number(float), "getattr": _getattr, "setattr": _setattr, "hasattr": _hasattr, "isinstance": _isinstance,
    "map": _map, "sorted": _same_items, "reversed": lambda run, a: list(reversed(_elements(run, _first(a)))),
    "iter": lambda run, a: _first(a), "next": _next, "type": _type, "str": _str, "bool": _bool, "abs": _abs,
    "round": _round,
    "vars": lambda run, a: dict(_first(a).attributes) if isinstance(_first(a), (Instance, Layer)) else Unknown(),
    "callable": lambda run, a: True if isinstance(_first(a), (Function, Class, Layer, Bound, External)) else Unknown(),
    "print": lambda run, a: None, "filter": lambda run, a: _same_items(run, a.after()),
}  # fmt: skip


def external(run: Interpreter, name: str, arguments: Call) -> Value:
    """Functions of the standard library; NotImplemented for others."""
    first = _first(arguments)
    if name == "functools.partial" and arguments.args:
        return Partial(first, arguments.after())
    if name.startswith("random."):
        return _random.draw(run, name.removeprefix("random."), arguments)
    if name in ("copy.deepcopy", "copy.copy"):
        return copied(first)
    if name in ("collections.OrderedDict", "collections.defaultdict", "types.MappingProxyType"):
        return _ordered(run, name, arguments)
    if name in ("types.SimpleNamespace", "argparse.Namespace"):
        known = first if isinstance(first, dict) else {}
        named = {key: value for key, value in (known | arguments.kwargs).items() if isinstance(key, str)}
        return Layer(name, arguments, attributes=named)
    if name == "collections.deque":
        rows = [] if not arguments.args else _list(run, arguments)
        return Bounded(rows) if arguments.given("maxlen", 1) else rows
    if name == "functools.reduce":
        return _reduced(run, arguments)
    if name == "operator.add":
        return Unknown()
    if name == "operator.methodcaller" and isinstance(first, str):
        return Partial(External("operator.methodcaller()"), Call([first, arguments.after()], {}, arguments.place))
    if name == "operator.methodcaller()" and len(arguments.args) == 3:
        method, given, owner = arguments.args
        return run.call(run.attribute(owner, method), Call(given.args, given.kwargs, arguments.place, given.open))
    if name == "itertools.chain":
        return _chained(run, arguments.args)
    if name == "itertools.chain.from_iterable":
        return (
            Unknown() if isinstance(first, Unknown) else _chained(run, [_plain(row) for row in _elements(run, first)])
        )
    if name in ("tqdm.tqdm", "tqdm.auto.tqdm", "tqdm.notebook.tqdm", "itertools.islice", "itertools.cycle",
                "tqdm.trange",
                "tqdm.rich.tqdm", "rich.progress.track"):  # fmt: skip
        return run.external("builtins.range", arguments) if name.endswith("trange") else first
    if name.startswith("statistics.") and name.endswith("mean"):
        run.external("numpy.mean", arguments)
        return Unknown()
    return NotImplemented


def _reduced(run: Interpreter, arguments: Call) -> Value:
    """functools.reduce(function, rows, start)."""
    function, given = (*arguments.args, None, None)[:2]
    rows = [] if isinstance(given, Unknown) else _elements(run, given)
    rows = [arguments.args[2], *rows] if len(arguments.args) > 2 else rows
    if not rows or len(rows) > 64 or any(isinstance(row, Maybe) for row in rows):
        return Unknown()
    result = rows[0]
    for row in rows[1:]:
        result = run.call(function, Call([result, row], {}, arguments.place))
    return result


def _chained(run: Interpreter, several: list[Value]) -> Value:
    """The elements of several things, one after the other."""
    if len(several) == 1:
        return several[0]
    return [row for rows in several for row in _elements(run, rows)]


def _ordered(run: Interpreter, name: str, arguments: Call) -> Value:
    if name.endswith("defaultdict"):
        return _Defaults(run, arguments)
    return _dict(run, arguments)


class _Defaults(dict[Value, Value]):
    """A defaultdict, whose missing entries are made when they are asked for."""

    def __init__(self, run: Interpreter, arguments: Call) -> None:
        super().__init__()
        self._run, self._factory, self._place = run, _first(arguments), arguments.place

    def get(self, key: Value, default: Value = None) -> Value:
        if key not in self and isinstance(default, Unknown):
            self._run.journal.store(self, key, self._run.call(self._factory, Call([], {}, self._place)))
            return self[key]
        return super().get(key, default)


def copied(value: Value, depth: int = 0) -> Value:
    """A copy, of a container with copies of what it holds."""
    if isinstance(value, Instance):
        return Instance(value.cls, dict(value.attributes))
    if isinstance(value, Layer):
        return Layer(value.name, value.call, list(value.items), list(value.names), dict(value.attributes))
    if isinstance(value, (list, dict)) and depth < 4:
        return (
            [copied(v, depth + 1) for v in value]
            if isinstance(value, list)
            else {k: copied(v, depth + 1) for k, v in value.items()}
        )
    return value
