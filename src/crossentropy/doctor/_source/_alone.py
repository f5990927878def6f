"""Functions that nothing calls are followed alone: with unknown arguments, on objects that the program makes.

class Distillation(nn.Module):          # of a library of losses: nothing makes one, so one is made with the defaults
    def __init__(self, T=4.0):
        self.kl = nn.KLDivLoss()
    def forward(self, student, teacher): ...

class Classifier(Trained):              # what it inherits is followed on its own objects, too: `fit` of Trained
    def forward(self, rows): ...        # calls this forward
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator

from crossentropy.doctor._knowledge import _composed
from crossentropy.doctor._source import _builtins
from crossentropy.doctor._source._names import used_in
from crossentropy.doctor._source._project import Project
from crossentropy.doctor._source._relevance import LOSS, mentions_loss
from crossentropy.doctor._source._values import (
    Call,
    Class,
    Function,
    Instance,
    Module,
    Number,
    Tensor,
    Unknown,
    Value,
    setting,
)

ROOT_STEPS = 12_000
"""Expressions that are evaluated for one function that nothing calls; and at most so many for all of a file:"""
REST_STEPS = 60_000
_ASIDE = " (as the defaults have it: the callers of this function were not given)"
_NAMED = re.compile(r"loss|criterion|cross_?entropy", re.IGNORECASE)
_OF_SELF = re.compile(r"\bself\.(\w+)\(")


class Alone:
    """Follows the functions of a project that nothing calls."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self._objects: dict[int, Value] = {}
        """An object of each class of which the program makes none, as its constructor leaves it."""

    def functions(self, path: str) -> None:
        """Follow the functions of a file that nothing calls: those of all files first, since they make objects."""
        self._each(path, _functions)

    def methods(self, path: str) -> None:
        """Follow the methods of a file that nothing calls."""
        self._each(path, _all_methods)

    def _each(self, path: str, of: Callable[[Module], list[tuple[Function, Class | None]]]) -> None:
        module = self.project.modules.get(path)
        if module is None:
            return
        until = self.project.budget.spent + REST_STEPS
        for function, owner in of(module):
            if self.project.budget.spent >= until:
                self.project.give_up(path, "it has too many functions to follow them all")
                break
            text = _text(function)
            if not self._is_called(function, owner) and _matters(text, function, owner):
                self.project.bind_for(path, text)
                self._follow(function, owner, min(ROOT_STEPS, until - self.project.budget.spent))
        self.project.report.aside = ""

    def _is_called(self, function: Function, owner: Class | None) -> bool:
        if owner is None or owner is function.owner:
            return function.written in self.project.called
        return (owner.written, function.written) in self.project.called_on

    def _follow(self, function: Function, owner: Class | None, steps: int) -> None:
        place = self.project.report_place(function)
        what = f"{function.name} in line {function.node.lineno}"
        inherited = owner if owner is not function.owner else None
        root = (None if inherited is None else inherited.written, function.written)
        limits = self.project.within_limits(function.module.name, steps, function.module, what)
        self.project.report.aside = _ASIDE if self.project.is_alone(function.module.name) else ""
        with self.project.report.following(root), limits:
            arguments = _unknown_arguments(function, place)
            if owner is not None and "staticmethod" not in function.decorators:
                arguments.args.append(owner if "classmethod" in function.decorators else self._object_of(owner, place))
            result = self.project.call_function(function, arguments)
            if function.name == "forward" or "loss" in function.name:
                self._idle(result)
            if function.name == "training_step" and owner is not None and owner.external().endswith("LightningModule"):
                self._lightning(result)

    def _object_of(self, cls: Class, place: Value) -> Value:
        """An object that the program has made, or one of the defaults."""
        instance = self.project.made.get(id(cls)) or self._made(cls, place)
        if not isinstance(instance, Instance):
            return Unknown()
        return Instance(cls, {name: _builtins.copied(value) for name, value in instance.attributes.items()})

    def _made(self, cls: Class, place: Value) -> Value:
        init = cls.find("__init__")
        arguments = _unknown_arguments(init, place) if isinstance(init, Function) else Call([], {}, place, open=True)
        if id(cls) not in self._objects:
            self._objects[id(cls)] = Unknown()  # what takes too long once is not tried again
            self._objects[id(cls)] = self.project.instantiate(cls, arguments)
        return self._objects[id(cls)]

    def _idle(self, result: Value) -> None:
        """Terms of a loss that is given back which have lost their graph."""
        given = result.values() if isinstance(result, dict) else result if isinstance(result, tuple) else (result,)
        for loss in given:
            for cut in loss.idle if isinstance(loss, Tensor) and loss.graph is not False else ():
                self.project.report.tell(_composed.idle_term(" that is given back", "likely"), cut)

    def _lightning(self, result: Value) -> None:
        """A loss that training_step gives back without its graph."""
        loss = result.get("loss") if isinstance(result, dict) else result
        tensor = loss.tensor if isinstance(loss, Number) else loss
        cut = tensor.cut if isinstance(tensor, Tensor) and tensor.graph is False and tensor.parts else None
        if cut is not None:
            self.project.report.add(
                "detached-loss",
                cut,
                "training_step gives back a loss whose graph is cut here: no weight gets a gradient",
            )


def _unknown_arguments(function: Function, place: Value) -> Call:
    """Defaults, but for None, which stands for something else that may be given."""
    given = {name: Unknown() if value is None else setting(value) for name, value in function.defaults.items()}
    return Call([], given, place, open=True)


def _functions(module: Module) -> list[tuple[Function, Class | None]]:
    return [(value, None) for value in module.scope.values() if isinstance(value, Function) and value.module is module]


def _all_methods(module: Module) -> list[tuple[Function, Class | None]]:
    """Methods of the classes of a module, and then those that they inherit."""
    classes = [value for value in module.scope.values() if isinstance(value, Class) and value.module is module]
    own: list[tuple[Function, Class | None]]
    own = [(method, cls) for cls in classes for method in _methods(cls) if method.name != "__init__"]
    return own + [(method, cls) for cls in classes if _methods(cls) for method in _inherited(cls)]


def _inherited(cls: Class) -> Iterator[Function]:
    """Methods that a class has from others that are read; it changes what these do."""
    own = set(cls.scope)
    for base in cls.lineage():
        if isinstance(base, Class) and base is not cls:
            yield from (method for method in _methods(base) if method.name not in own)
            own |= base.scope.keys()


def _methods(cls: Class) -> list[Function]:
    return [item for item in cls.scope.values() if isinstance(item, Function) and item.owner is cls]


def _text(function: Function) -> str:
    return "\n".join(function.module.source.lines[function.node.lineno - 1 : function.node.end_lineno])


def _name(function: Function, owner: Class | None) -> str:
    """What a function is called by those who use it."""
    return owner.name if owner is not None and function.name in ("forward", "__call__") else function.name


def _matters(text: str, function: Function, owner: Class | None) -> bool:
    """Whether a function may compute a loss: by its words, its name, or by calling what its class calls a loss."""
    if mentions_loss(text) or _NAMED.search(_name(function, owner)):
        return True
    called = set(_OF_SELF.findall(text))
    if owner is None or not called:
        return False
    return any(called & _losses_of(cls.node) for cls in owner.lineage() if isinstance(cls, Class))


def _losses_of(node: ast.ClassDef) -> frozenset[str]:
    """The attributes that a class gives losses to; remembered in its node."""
    known = getattr(node, "_losses", None)
    if known is None:
        known = frozenset(
            target.attr
            for part in ast.walk(node)
            if isinstance(part, ast.Assign) and any(map(LOSS.search, used_in(part.value)))
            for target in part.targets
            if isinstance(target, ast.Attribute)
        )
        node._losses = known  # type: ignore[attr-defined]
    return known
