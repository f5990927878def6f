"""What made the input of a loss: an activation, applied to it, or models that end in one."""

from dataclasses import dataclass, replace
from typing import TypeAlias

import libcst as cst

from crossentropy.doctor._convert._activations import Activation, Kind, activation
from crossentropy.doctor._convert._edits import Refused
from crossentropy.doctor._convert._flow import Flow, Objects
from crossentropy.doctor._convert._givers import Parameter, arguments, parameter
from crossentropy.doctor._convert._models import Tail, called, tail
from crossentropy.doctor._convert._reach import Definition, unpacked, values
from crossentropy.doctor._convert._script import Script
from crossentropy.doctor._convert._shapes import (
    before_keeping,
    before_laying_out,
    before_reshaping,
    is_laid_out,
    method_of,
)
from crossentropy.doctor._convert._sources import Source, before_names, source
from crossentropy.doctor._convert._uses import Part, part_of

Doubt: TypeAlias = tuple[cst.CSTNode, str]


@dataclass(frozen=True)
class Applied:
    """An activation that is applied to the logits of a loss."""

    activation: Activation
    named: cst.BaseExpression
    """The argument of the loss, or the name in it, that the activation made."""
    source: Source
    laid_out: bool = False
    """Whether its axes are moved or laid together on the way to the loss."""
    selected: bool = False
    """Whether the loss is of rows of it."""
    through: tuple[Parameter, ...] = ()
    """The parameters through which it came."""
    via: tuple[Definition, ...] = ()
    """The assignments of the same values to other names, on the way to the loss."""
    doubt: Doubt | None = None
    """Why it may be something else that the loss is given, and where."""


@dataclass(frozen=True)
class Output:
    """A part of what models give, which ends in the activation."""

    models: tuple[Flow, ...]
    """Those that the call may be of."""
    part: Part
    laid_out: bool = False
    selected: bool = False
    through: tuple[Parameter, ...] = ()
    via: tuple[Definition, ...] = ()
    doubt: Doubt | None = None


class Origins:
    """The origins of one kind of activation; of those that are `certain`, or also where it may be something else."""

    def __init__(self, script: Script, objects: Objects, kind: Kind, *, certain: bool) -> None:
        self.obstacle: tuple[cst.CSTNode, str] | None = None
        """Where the last argument could not be followed further, and why."""
        self._script = script
        self._objects = objects
        self._kind: Kind = kind
        self._certain = certain
        self._elementwise = kind == "sigmoid"

    def of(self, argument: cst.BaseExpression) -> list[Applied | Output]:
        """What made an argument; several, if it is a parameter, and nothing if one of them is something else."""
        self.obstacle = None
        return self._of(argument, ())

    def _of(self, argument: cst.BaseExpression, through: tuple[Parameter, ...]) -> list[Applied | Output]:
        named, laid_out, selected, via = self._beneath(argument)
        if (found := self._direct(named)) is not None:
            return [replace(found, laid_out=laid_out, selected=selected, through=through, via=via)]
        given = parameter(self._script, named)
        if given is None or given in through:
            return []
        values = arguments(self._script, self._objects, given)
        if not values:
            name = given.function.name.value
            return self._lost(named, f"it cannot be seen what all callers of {name} give it as {given.name}")
        origins = [self._of(value, (*through, given)) for value in values]
        doubt = None if all(origins) else (given.function, f"{given.name} is not always a {self._kind}")
        if doubt is not None and self._certain:
            return []
        return [
            replace(
                one,
                laid_out=one.laid_out or laid_out,
                selected=one.selected or selected,
                via=(*one.via, *via),
                doubt=one.doubt or doubt,
            )
            for found in origins
            for one in found
        ]

    def _lost(self, at: cst.CSTNode, why: str) -> list[Applied | Output]:
        if self.obstacle is None:
            self.obstacle = (at, why)
        return []

    def _beneath(self, argument: cst.BaseExpression) -> tuple[cst.BaseExpression, bool, bool, tuple[Definition, ...]]:
        """What an argument is with its axes moved, of rows of it, and by which names, to where it can be followed."""
        via: list[Definition] = []
        laid_out = selected = False
        while True:
            named = self._within(argument)
            laid_out |= is_laid_out(argument) and not self._elementwise
            selected |= not laid_out and not self._elementwise and before_keeping(argument) is not named
            found = source(self._script, before_names(self._script, named))
            inner = self._within(found.value)
            if found.definition is None or inner is found.value:
                return named, laid_out, selected, tuple(via)
            via.append(found.definition)
            argument = found.value

    def _within(self, argument: cst.BaseExpression) -> cst.BaseExpression:
        return before_reshaping(argument) if self._elementwise else before_laying_out(argument)

    def _direct(self, argument: cst.BaseExpression) -> Applied | Output | None:
        named = before_names(self._script, argument)
        found = source(self._script, named)
        value = before_reshaping(found.value) if self._elementwise else before_keeping(found.value)
        if (applied := activation(self._script, self._objects, value)) is not None:
            return Applied(applied, named, found) if applied.kind == self._kind and named is argument else None
        whole, part = self._whole(named, value)
        if isinstance(whole, cst.Name) and whole is named and (several := self._one_of(whole)) is not None:
            return several
        if not isinstance(whole, cst.Call):
            self._lost_at(whole)
            return None
        models = called(self._script, self._objects, whole)
        ends = [tail(self._script, self._objects, model, part) for model in models]
        if not any(map(self._is_end, ends)):
            self._lost_in(whole, models)
            return None
        if self._certain:
            for at, how in (problem for model in models for problem in model.mixed):
                why = f"this may not be the only model that is trained: {how}"
                raise Refused(at, why, "What else can it be there?")
            return Output(tuple(models), part)
        return Output(tuple(model for model, end in zip(models, ends) if self._is_end(end)), part)

    def _one_of(self, name: cst.Name) -> Output | None:
        """What one of several assignments gives a name, if all give it what models end in."""
        given = values(self._script, name)
        calls = [value for value in given if isinstance(value, cst.Call)]
        if len(calls) < 2 or len(calls) < len(given):
            return None
        found: dict[cst.Call, Flow] = {}
        for call in calls:
            models = called(self._script, self._objects, call)
            other = [model for model in models if not self._is_end(tail(self._script, self._objects, model))]
            if other or not models:
                self._lost_in(call, other)
                return None
            found |= {model.made: model for model in models}
        if any(model.mixed for model in found.values()):
            return None
        return Output(tuple(found.values()), None)

    def _is_end(self, end: Tail | None) -> bool:
        return end is not None and end.activation.kind == self._kind

    def _lost_at(self, value: cst.BaseExpression) -> None:
        if isinstance(value, cst.Name) and parameter(self._script, value) is not None:
            return
        text = self._script.text(value)
        if isinstance(value, cst.Name):
            self._lost(value, f"{text} may have its value here from several assignments, or be changed in place")
        else:
            self._lost(value, f"{self._script.brief(value)} is not followed further back")

    def _lost_in(self, call: cst.Call, models: list[Flow]) -> None:
        text = self._script.brief(call.func)
        found = method_of(call)
        if not models and self._script.imported(call.func) is not None:
            self._lost(call, f"what {text} gives is not followed further back")
        elif not models and found is not None and self._script.text(found[1]) != "self":
            self._lost(call, f"{self._script.brief(found[1])} is not followed through .{found[0]}(...)")
        elif not models:
            self._lost(call, f"it cannot be seen which object or function {text} is here")
        elif problems := [how for model in models for _, how in model.mixed]:
            self._lost(call, f"{text} may be another object here: {problems[0]}")
        else:
            made = self._script.brief(models[0].made.func)
            self._lost(call, f"it cannot be seen that forward of {made} ends in a {self._kind} on every way through it")

    def _whole(self, named: cst.BaseExpression, value: cst.BaseExpression) -> tuple[cst.BaseExpression, Part]:
        """The expression of which an argument is a part, and which."""
        if isinstance(value, cst.Subscript) and (part := part_of(value)) is not None:
            return source(self._script, value.value).value, part
        if isinstance(named, cst.Name) and (found := unpacked(self._script, named)) is not None:
            return found
        return value, None
