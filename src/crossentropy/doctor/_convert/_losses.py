"""Losses of a script, functions and modules alike: what they are given, and how they are set."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import libcst as cst

from crossentropy.doctor._convert._edits import Edit, Refused
from crossentropy.doctor._convert._flow import Objects
from crossentropy.doctor._convert._script import Script
from crossentropy.doctor._convert._tree import is_literal, literal
from crossentropy.doctor._knowledge._binding import SIGNATURES


@dataclass(frozen=True)
class Site:
    """One computation of a loss."""

    call: cst.Call
    input: cst.BaseExpression
    target: cst.BaseExpression


@dataclass(frozen=True)
class Loss:
    """A function that is called, or a module that is made and then called."""

    made: cst.Call
    """The call of the function, or that which makes the module; the settings are its arguments."""
    name: str
    """As torch calls it."""
    calls: tuple[cst.Call, ...]
    problems: tuple[tuple[cst.CSTNode, str], ...]
    """Where a module goes out of sight."""

    @property
    def short(self) -> str:
        """The last part of its name."""
        return self.name.rsplit(".", 1)[1]

    @property
    def is_module(self) -> bool:
        """Whether it is a module."""
        return ".functional." not in self.name


def losses(script: Script, objects: Objects, *names: str) -> Iterator[Loss]:
    """The losses of some names, in the order of the source."""
    for call in script.calling(*names):
        name = script.imported(call.func)
        if name is not None and (loss := _loss(objects, call, name)) is not None:
            yield loss


def losses_at(script: Script, objects: Objects, call: cst.Call) -> list[Loss]:
    """The losses that a call may compute, as far as they are torch's."""
    name = script.imported(call.func)
    if name is not None:
        return [Loss(call, name, (call,), ())] if ".functional." in name and name in SIGNATURES else []
    made = [(flow.made, script.imported(flow.made.func)) for flow in objects.may_be_called_by(call)]
    found = [_loss(objects, call, name) for call, name in made if name in SIGNATURES and name is not None]
    return [loss for loss in found if loss is not None]


def site(script: Script, loss: Loss, call: cst.Call) -> Site:
    """What one call of a loss is given."""
    given = script.arguments(call, ("input", "target") if loss.is_module else SIGNATURES[loss.name])
    if "input" not in given or "target" not in given:
        raise Refused(call, "it cannot be seen what this loss is given")
    return Site(call, given["input"].value, given["target"].value)


def sites(script: Script, loss: Loss) -> list[Site]:
    """All computations of a loss."""
    return [site(script, loss, call) for call in loss.calls]


def readable_sites(script: Script, loss: Loss) -> Iterator[Site]:
    """The computations of a loss of which it can be seen what they are given."""
    for call in loss.calls:
        with suppress(Refused):
            yield site(script, loss, call)


def settings(script: Script, loss: Loss) -> dict[str, cst.Arg]:
    """The arguments of a loss but its input and target."""
    given = script.arguments(loss.made, SIGNATURES[loss.name])
    return {name: argument for name, argument in given.items() if name not in ("input", "target")}


def setting(script: Script, loss: Loss, name: str, default: object = None) -> object:
    """The value of a setting, which must be a literal."""
    given = settings(script, loss).get(name)
    if given is None:
        return default
    if not is_literal(given.value):
        raise Refused(given, f"{name}={script.text(given.value)} is known only when the script runs")
    return literal(given)


def _loss(objects: Objects, made: cst.Call, name: str) -> Loss | None:
    if ".functional." in name:
        return Loss(made, name, (made,), ())
    flow = objects.flows.get(made)
    return flow and Loss(made, name, tuple(flow.calls), (*flow.lost, *flow.mixed))


def with_setting(script: Script, loss: Loss, name: str, value: str) -> Edit:
    """The edit that gives a loss a setting, in the place of the one that it has."""
    given = settings(script, loss).get(name)
    quote = script.quote(loss.made)
    if given is not None:
        return script.write(given.value, f"{quote}{value}{quote}")
    text = f"{name}={quote}{value}{quote}"
    if loss.made.args:
        end = script.span(loss.made.args[-1].value)[1]
        return Edit(end, end, f", {text}")
    end = script.span(loss.made)[1] - 1
    return Edit(end, end, text)
