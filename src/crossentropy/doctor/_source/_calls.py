"""Calls and attributes: functions and classes that are read are followed, others are known by name or not at all."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable

from crossentropy.doctor._source import (
    _assignment,
    _builtins,
    _by_name,
    _configurations,
    _cuts,
    _layers,
    _libraries,
    _loaders,
    _losses,
    _methods,
    _operations,
    _parts,
    _records,
    _registries,
    _several,
    _tables,
    _tokenizers,
    _trainers,
    _unknowns,
)
from crossentropy.doctor._source._creation import is_floating
from crossentropy.doctor._source._elements import named
from crossentropy.doctor._source._expressions import Exhausted, Frame
from crossentropy.doctor._source._joins import LIKELY, doubtful, join
from crossentropy.doctor._source._names import canonical, constant
from crossentropy.doctor._source._statements import SWITCHES, Statements
from crossentropy.doctor._source._values import (
    Bound,
    Call,
    Choice,
    Class,
    External,
    Function,
    Instance,
    Layer,
    Maybe,
    Module,
    Partial,
    Place,
    Scope,
    Super,
    Tensor,
    Unknown,
    Value,
    Written,
    is_known,
    setting,
)

DEEPEST = 24
"""Calls within calls."""
MOST_LINES = 2000
"""Lines of one function that are followed for one file, over all its calls."""
_DOING = (
    "steps",
    "deadline",
    "inside",
    "depth",
    "loops",
    "no_grad",
    "caught",
    "endless",
    "uncounted",
    "active",
    "lines",
    "cut",
)


class Calls(Statements):
    """Follows calls."""

    def __init__(self, *arguments: Value) -> None:
        super().__init__(*arguments)
        self.begin(0, math.inf, None)
        self.called: set[Written] = set()
        """Functions that were followed;"""
        self.called_on: set[tuple[Written, Written]] = set()
        """and those on objects of a class that inherits them, with it."""
        self.made: dict[int, Instance] = {}
        """The first object of each class that the program makes."""

    def begin(self, steps: int, deadline: float, inside: Module | None) -> dict[str, Value]:
        """Begin something that is followed for itself; gives back what was being done, for `vars(self).update`."""
        before = {name: value for name, value in vars(self).items() if name in _DOING}
        self.steps, self.deadline, self.inside = steps, deadline, inside
        self.depth, self.loops, self.no_grad, self.caught = 0, 0, None, frozenset()
        self.endless, self.uncounted = 0, {}
        self.active: dict[int, int] = {}
        """How often a function is being followed, by its node;"""
        self.lines: dict[int, int] = {}
        """how many of its lines were followed;"""
        self.cut: set[int] = set()
        """and those that took too long."""
        return before

    # --- attributes ---------------------------------------------------------------------------------------------------

    def attribute(self, owner: Value, name: str) -> Value:
        if isinstance(owner, Instance):
            return self._of_instance(owner, name)
        if isinstance(owner, Class):
            return self._of_class(owner, name)
        if isinstance(owner, Module):
            return dict(owner.scope) if name == "__dict__" else self.member(owner, name)
        if isinstance(owner, External):
            return is_floating(owner) if name == "is_floating_point" else constant(f"{owner.name}.{name}")
        if isinstance(owner, Tensor):
            return _methods.tensor_attribute(owner, name)
        if isinstance(owner, Layer):
            return self._of_layer(owner, name)
        if isinstance(owner, Unknown):
            return owner.member(name)
        if isinstance(owner, tuple) and len(owner) == 2 and name in ("values", "indices"):
            return owner[name == "indices"]
        if isinstance(owner, dict) and not hasattr(dict, name):  # of a class that gives entries as attributes
            return self.options.read(owner.get(name, Unknown()))
        if isinstance(owner, Choice):
            return _several.attribute(self, owner, name)
        if isinstance(owner, Super):
            found = owner.owner.cls.find(name, owner.after) if isinstance(owner.owner, Instance) else None
            return Bound(owner.owner, found) if isinstance(found, Function) else Bound(owner, name)
        if name == "value" and is_known(owner):  # of a member of an enumeration
            return owner
        return Bound(owner, name)

    @abstractmethod
    def file_beside(self, path: str) -> bytes | None:
        """A small file of the project, by its path from the module that is followed or a folder above it."""

    @abstractmethod
    def find_module(self, name: str) -> Value:
        """A module by its whole name, as what is followed would import it."""

    def member(self, module: Module, name: str) -> Value:
        """A name of a module that is read."""
        self.noticed(module.scope, name)
        return module.scope.get(name, Unknown())

    def _of_instance(self, owner: Instance, name: str) -> Value:
        if name in owner.attributes:
            return owner.attributes[name]
        found = owner.cls.find(name)
        if isinstance(found, Function):
            if found.decorators & {"property", "cached_property", "functools.cached_property"}:
                return self.call_function(found, Call([owner], {}, self.report_place(found)))
            if "staticmethod" in found.decorators:
                return found
            return Bound(owner.cls if "classmethod" in found.decorators else owner, found)
        if found is not None:
            return found
        if name == "training":
            return True
        if name == "__class__":
            return owner.cls
        base = owner.attributes.get("*base")
        if isinstance(base, Layer) and name in base.attributes:
            return base.attributes[name]
        if isinstance(base, dict) and name in base:
            return base[name] if owner.cls.find("__getattr__") is not None else Bound(owner, name)
        if owner.cls.external() or name.startswith("__"):
            return Bound(owner, name)
        return self._missing(owner, name)

    def _missing(self, owner: Instance, name: str) -> Value:
        getter = owner.cls.find("__getattr__")
        if isinstance(getter, Function):
            return self.call_function(getter, Call([owner, name], {}, self.report_place(getter)))
        return owner.attributes.setdefault(name, Unknown())

    def _of_class(self, owner: Class, name: str) -> Value:
        found = owner.find(name)
        if isinstance(found, Function) and "classmethod" in found.decorators:
            return Bound(owner, found)
        if found is not None:
            return found
        if name == "__name__":
            return owner.name
        return External(f"{base}.{name}") if (base := owner.external()) else Unknown()

    def _of_layer(self, owner: Layer, name: str) -> Value:
        if name in owner.attributes:
            value = owner.attributes[name]
            return self.options.read(setting(value) if owner.kind == "CfgNode" else value)
        if name in owner.names:
            return owner.items[owner.names.index(name)]
        return _methods.layer_attribute(owner, name)

    def report_place(self, function: Function) -> Value:
        """Where a function is defined."""
        return function.module.source.place(function.node)

    def noticed(self, scope: Scope, name: str) -> None:
        if name in scope:
            self.summaries.read(scope, name)

    def configured(self, function: Function, main: Layer) -> None:
        for argument in function.node.args.args[:1]:
            function.defaults.setdefault(argument.arg, _configurations.composed(self, main))

    # --- calls --------------------------------------------------------------------------------------------------------

    def call(self, function: Value, call: Call) -> Value:
        result = self._dispatch(function, call)
        if isinstance(function, (Layer, Instance)) and function.attributes.get(LIKELY) and isinstance(result, Tensor):
            result = doubtful(result)
        if self.no_grad is not None and isinstance(result, Tensor) and result.graph is not False:
            return result.to(graph=False, cut=self.no_grad if result.graph else result.cut)
        return result

    def _dispatch(self, function: Value, call: Call) -> Value:
        if isinstance(function, Function):
            return self.call_function(function, call)
        if isinstance(function, Bound):
            if isinstance(function.method, Function):
                return self.call_function(function.method, call.before(function.owner))
            return self.method(function.owner, function.method, call)
        if isinstance(function, Class):
            return self.instantiate(function, call)
        if isinstance(function, Instance):
            return self.call_instance(function, call)
        if isinstance(function, Layer):
            return self.apply(function, call)
        if isinstance(function, External):
            result = _unknowns.made_by_library(function.name, self.external(function.name, call))
            return doubtful(result) if function.likely else result
        if isinstance(function, Partial):
            given = function.call
            return self.call(
                function.function, Call([*given.args, *call.args], given.kwargs | call.kwargs, call.place, call.open)
            )
        if isinstance(function, Unknown):
            return _unknowns.call_unknown(self, function, call)
        if isinstance(function, Choice):
            return _several.call(self, function, call)
        if isinstance(function, Tensor) and function.parts:
            self.report.add(
                "loss-name-shadowed",
                call.place,
                f"what is called here is not the criterion any more but the loss of {function.made}: give the "
                "value another name",
            )
        return Unknown()

    def call_function(self, function: Function, call: Call) -> Value:
        """Follow a function."""
        key = id(function.node)
        if not self.report.silent:
            self._note(function, call)
        if self.depth >= DEEPEST or self.active.get(key, 0) >= 2:
            self.summaries.shorten()
            return Unknown()
        if key in self.cut or self.lines.get(key, 0) > MOST_LINES:
            self.summaries.spoil()
            return Unknown()
        switched = function.decorators & set(SWITCHES) or function.decorators & {"no_grad", "inference_mode"}
        no_grad = call.place if switched else self.no_grad
        state = self._state(no_grad)
        result = self.summaries.call(self, function, call, state, lambda: self._follow(function, call, no_grad))
        return _cuts.of_function(self.report, function, result)

    def _note(self, function: Function, call: Call) -> None:
        self.called.add(function.written)
        owner = call.args[0] if call.args and function.owner is not None else None
        if isinstance(owner, Instance) and owner.cls is not function.owner:
            self.called_on.add((owner.cls.written, function.written))

    def _state(self, no_grad: Place | None) -> tuple[Value, ...]:
        """What a call hangs on besides its arguments."""
        return no_grad, min(self.loops, 1), self.report.silent, self.report.listens, self.options.chosen

    def _follow(self, function: Function, call: Call, no_grad: Place | None) -> Value:
        key = id(function.node)
        before = self.no_grad, self.loops, self.inside, self.caught
        self.caught = frozenset()  # errors are followed within one function
        self.no_grad, self.loops, self.inside = no_grad, min(self.loops, 1), function.module
        self.depth += 1
        self.active[key] = self.active.get(key, 0) + 1
        self.lines[key] = self.lines.get(key, 0) + (function.node.end_lineno or 0) - function.node.lineno + 1
        try:
            frame = Frame(Scope(function.scope), function.module, function, call.args[0] if call.args else None)
            self._bind(function, call, frame)
            return self._result(function, frame) if before[2] is function.module else self._elsewhere(function, frame)
        finally:
            self.depth -= 1
            self.active[key] -= 1
            self.no_grad, self.loops, self.inside, self.caught = before

    def _elsewhere(self, function: Function, frame: Frame) -> Value:
        """A function of another file may take half of the steps that are left; if they do not do, it is not known."""
        kept = self.steps // 2
        self.steps -= kept
        try:
            return self._result(function, frame)
        except Exhausted:
            if self.steps >= 0:  # it was time that was short
                raise
            self.steps = 0
            self.cut.add(id(function.node))
            self.called.discard(function.written)
            self.summaries.spoil()
            return Unknown()
        finally:
            self.steps += kept

    def _result(self, function: Function, frame: Frame) -> Value:
        node = function.node
        if not hasattr(node, "name"):
            return self.evaluate(node.body, frame)  # type: ignore[arg-type]
        if _builtins.is_generator(node):
            frame.yields = []
            self.run(node.body, frame)  # type: ignore[arg-type]
            marks = {"contextmanager", "contextlib.contextmanager"}
            return (frame.yields[0] if frame.yields else None) if function.decorators & marks else frame.yields
        self.run(node.body, frame)  # type: ignore[arg-type]
        if not frame.returns:
            return None
        result = frame.returns[0]
        for other in frame.returns[1:]:
            result = _parts.merged(result, other)
        return result

    def _bind(self, function: Function, call: Call, frame: Frame) -> None:
        arguments = function.node.args
        names = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
        scope = frame.scope
        for name, value in zip(names, call.args):
            scope[name] = named(name, value)
        if arguments.vararg is not None:
            scope[arguments.vararg.arg] = Unknown() if call.open else tuple(call.args[len(names) :])
        keywords = {argument.arg for argument in arguments.kwonlyargs} | set(names)
        others = {name: value for name, value in call.kwargs.items() if name not in keywords}
        scope.update({name: named(name, value) for name, value in call.kwargs.items() if name in keywords})
        if arguments.kwarg is not None:
            scope[arguments.kwarg.arg] = Unknown() if call.open else others
        for name in keywords:
            if name not in scope:
                scope[name] = Unknown() if call.open else function.defaults.get(name, Unknown())

    def instantiate(self, cls: Class, call: Call) -> Value:
        """An object of a class that is read."""
        made = self.summaries.call(self, cls, call, self._state(self.no_grad), lambda: self._construct(cls, call))
        if isinstance(made, Instance) and not self.report.silent:
            self.made.setdefault(id(cls), made)
        return made

    def _construct(self, cls: Class, call: Call) -> Value:
        instance = Instance(cls, {"*made": call.place})
        base = cls.external()
        init = cls.find("__init__")
        if isinstance(init, Function):
            self.call_function(init, call.before(instance))
        elif cls.records:
            self._record(instance, cls, call)
        elif cls.enumerates:
            return _records.member(cls, call)
        elif base:
            instance.attributes["*base"] = self.external(base, call)
        post = cls.find("__post_init__")
        if isinstance(post, Function):
            self.call_function(post, Call([instance], {}, call.place))
        return instance

    def _record(self, instance: Instance, cls: Class, call: Call) -> None:
        for name in cls.fields:
            default = cls.find(name)
            if isinstance(default, Layer) and default.kind == "field":
                factory = default.call.get("default_factory")
                default = (
                    self.call(factory, Call([], {}, call.place)) if factory is not None else default.call.get("default")
                )
            instance.attributes[name] = Unknown() if call.open or default is None else setting(default)
            if default is None and cls.find(name) is None and name in cls.scope:
                instance.attributes[name] = None
        given = dict(zip(cls.fields, call.args)) | call.kwargs
        instance.attributes.update({name: named(name, value) for name, value in given.items()})

    def call_instance(self, instance: Instance, call: Call) -> Value:
        """instance(...)."""
        method = instance.cls.find("__call__") or instance.cls.find("forward")
        if not isinstance(method, Function):
            base = instance.attributes.get("*base")
            return self.call(base, call) if isinstance(base, (Layer, Partial)) else Unknown()
        before = self.no_grad
        try:
            result = self.call_function(method, call.before(instance))
        finally:
            self.no_grad = before
        if instance.attributes.get("frozen") is True:
            return _parts.frozen(result)
        return result

    # --- what is not read ---------------------------------------------------------------------------------------------

    def external(self, name: str, call: Call) -> Value:
        """A function or class of a module that is not read."""
        name = canonical(name)
        package, _, last = name.rpartition(".")
        root = name.partition(".")[0]
        for library in (
            _records.make,
            _by_name.call,
            _configurations.call,
            _registries.call,
            _trainers.make,
            _libraries.make,
        ):
            if (found := library(self, name, call)) is not NotImplemented:
                return found
        if package == "builtins":
            return _builtins.call(self, last, call)
        if root in ("torch", "numpy", "einops", "jax", "scipy"):
            return self._of_torch(name, package, last, call)
        if root in ("pandas", "sklearn") and (made := _tables.make(name, call)) is not NotImplemented:
            return made
        special = _builtins.external(self, name, call)
        if special is not NotImplemented:
            return special
        return self._object(name, last, call)

    def _of_torch(self, name: str, package: str, last: str, call: Call) -> Value:
        if name in ("numpy.loadtxt", "numpy.genfromtxt"):
            return _tables.loaded(call)
        call = _tables.without(call)
        if package == "torch.nn.functional" and last in _losses.FUNCTIONS:
            return _losses.function(self.report, last, call)
        if name == "torch.is_grad_enabled" and self.no_grad is not None:
            return False
        if name in SWITCHES or last in ("enable_grad", "autocast"):
            return Layer(name, call)
        if last in ("random_split", "DataLoader", "TensorDataset", "Subset", "ConcatDataset", "from_numpy"):
            return _loaders.make(last, name, call)
        if last in _parts.CONTAINERS and package.startswith("torch.nn"):
            return _parts.container(name, last, call)
        if package == "torch.nn" and last in _losses.CLASSES:
            layer = Layer(name, call)
            _losses.construct(self.report, layer)
            return layer
        if package == "torch.nn" and last in _losses.BASES:
            return _losses.base(Layer(name, call))
        if package == "torch.nn.functional" and (found := _layers.functional(self.report, last, call)) is not None:
            return found
        if package in ("torch.nn.utils.clip_grad", "torch.nn.utils.rnn") and last == "pad_packed_sequence":
            rows = call.get("sequence", 0)
            return (rows.to(packed=False) if isinstance(rows, Tensor) else rows, Unknown())
        if last == "pack_padded_sequence":
            rows = call.get("input", 0)
            return rows.to(fills=frozenset(), packed=True) if isinstance(rows, Tensor) else rows
        if name.startswith("torch.nn.init."):
            return call.get("tensor", 0)
        if last in (
            "save",
            "load",
            "manual_seed",
            "compile",
            "DataParallel",
            "DistributedDataParallel",
            "script",
            "checkpoint",
        ):
            return self._wrapped(last, call)
        of_tensors = package in ("torch", "torch.nn.functional") and any(
            isinstance(value, Tensor) and value.graph for value in (*call.args, *call.kwargs.values())
        )
        if _operations.is_known(last) or (of_tensors and last.islower()):
            return _operations.operate(self.report, last, call)
        return self._object(name, last, call)

    def _wrapped(self, last: str, call: Call) -> Value:
        if last == "checkpoint" and call.args:
            return self.call(call.args[0], call.after())
        return (
            call.args[0]
            if last in ("compile", "DataParallel", "DistributedDataParallel", "script") and call.args
            else Unknown()
        )

    def _object(self, name: str, last: str, call: Call) -> Value:
        owner = name.rpartition(".")[0].rpartition(".")[2]
        if last in ("from_pretrained", "from_config") and owner[:1].isupper():
            return Layer(name.rpartition(".")[0], call)
        if last[:1].isupper() or last in ("default_rng", "field", "ArgumentParser"):
            return Layer(name, call)
        return _operations.operate(self.report, last, call) if last in ("pad_sequence",) else Unknown()

    def apply(self, layer: Layer, call: Call) -> Value:
        """layer(input)."""
        if layer.attributes.get("frozen") is True:
            return _parts.frozen(self._applied(layer, call))
        return self._applied(layer, call)

    def _applied(self, layer: Layer, call: Call) -> Value:
        if layer.kind == "Sequential":
            value = call.get("input", 0, Unknown())
            for item in layer.items:
                inner = item.value if isinstance(item, Maybe) else item
                result = self.call(inner, Call([value], {}, _parts.layer_place(inner, call)))
                value = join(value, result) if isinstance(item, Maybe) else result
            return value
        if layer.name.startswith("torch.nn."):
            return _layers.apply(
                self.report, layer, Call(call.args, call.kwargs, _parts.layer_place(layer, call), call.open)
            )
        if (output := _libraries.apply(self, layer, call)) is not NotImplemented:
            return output
        if _methods.is_language_model(layer):
            return _methods.language_model(self.report, layer, call)
        if _tokenizers.fills_up(call):
            return _tokenizers.encoding()
        return Unknown()

    def method(self, owner: Value, name: str, call: Call) -> Value:
        """A method of something that is not read."""
        return _methods.call(self, owner, name, call)

    def length(self, value: Value) -> Value:
        return _loaders.length(self, value)

    def iterate(self, value: Value) -> Iterable[Value]:
        if isinstance(value, (list, tuple, dict, range, str)):
            return (
                list(value)[:4096]
                if not isinstance(value, range)
                else [*value[:64], *value[-1:]]
                if len(value) > 64
                else value
            )
        if isinstance(value, Tensor):
            size = value.shape[0] if value.shape else None
            return [_assignment.row(value) for _ in range(size if isinstance(size, int) and size <= 8 else 2)]
        if isinstance(value, Layer):
            return (
                _loaders.batches(self, value)
                if value.kind in _loaders.ITERABLE
                else value.items or [Unknown(), Unknown()]
            )
        if isinstance(value, Instance):
            held = _records.values(value)
            return self._iterate_instance(value) if held is None else held
        return [Unknown(), Unknown()]

    def _iterate_instance(self, value: Instance) -> Iterable[Value]:
        method = value.cls.find("__iter__")
        place = self.report_place(method) if isinstance(method, Function) else None
        if isinstance(method, Function):
            rows = self.call_function(method, Call([value], {}, place))  # type: ignore[arg-type]
            return list(rows) if isinstance(rows, (list, tuple)) else [Unknown(), Unknown()]
        getter = value.cls.find("__getitem__")
        if isinstance(getter, Function):
            item = self.call_function(getter, Call([value, Unknown()], {}, self.report_place(getter)))
            return [item, item]
        return [Unknown(), Unknown()]
