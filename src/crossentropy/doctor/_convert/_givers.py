"""Parameters: what the calls of a function give one, and which parameter a call gives an expression to."""

from dataclasses import dataclass

import libcst as cst
from libcst.metadata import FunctionScope

from crossentropy.doctor._convert._flow import Objects
from crossentropy.doctor._convert._functions import calls_of, function_of, method, parameter_of
from crossentropy.doctor._convert._script import Script, Variable


@dataclass(frozen=True)
class Parameter:
    """A parameter of a function of these files, which nothing else is assigned to."""

    function: cst.FunctionDef
    name: str
    reads: tuple[cst.BaseExpression, ...]


def parameter(script: Script, name: cst.BaseExpression) -> Parameter | None:
    """The parameter that a name is."""
    scope = script.scope(name) if isinstance(name, cst.Name) else None
    if not isinstance(name, cst.Name) or not isinstance(scope, FunctionScope):
        return None
    function = scope.node
    return _parameter(script, function, name.value) if isinstance(function, cst.FunctionDef) else None


def given_to(script: Script, objects: Objects, argument: cst.CSTNode) -> Parameter | None:
    """The parameter that an argument of a call is for."""
    call = script.parent(argument) if isinstance(argument, cst.Arg) else None
    if not isinstance(argument, cst.Arg) or not isinstance(call, cst.Call):
        return None
    function = function_of(script, call)
    if function is None and (flow := objects.called_by(call)) is not None:
        owners = objects.classes_of(flow.made)
        function = method(owners[0], "forward") if len(owners) == 1 else None
    name = None if function is None else parameter_of(function, call, argument)
    return None if function is None or name is None else _parameter(script, function, name)


def arguments(script: Script, objects: Objects, of: Parameter) -> list[cst.BaseExpression] | None:
    """What all calls give a parameter; None if they are not all in sight."""
    calls = _calls(script, objects, of.function)
    if not calls:
        return None
    given = [
        next((one.value for one in call.args if parameter_of(of.function, call, one) == of.name), None)
        for call in calls
        if call is not None
    ]
    return None if None in given or len(given) < len(calls) else [one for one in given if one is not None]


def _calls(script: Script, objects: Objects, function: cst.FunctionDef) -> list[cst.Call | None] | None:
    owner = script.around(function, cst.ClassDef)
    if owner is not None and function.name.value == "forward":
        flows = objects.made_of(owner)
        known = all(not flow.lost and not flow.mixed and not flow.others for flow in flows)
        return [call for flow in flows for call in flow.calls] if known else None
    if script.leaks(script.variable(function)) or script.is_decorated(function):
        return None
    found = calls_of(script, function)
    return None if found is None else [call for _, call in found]


def _parameter(script: Script, function: cst.FunctionDef, name: str) -> Parameter | None:
    variable = Variable(script.scope(function.body.body[0]), name)
    parameters = (*function.params.posonly_params, *function.params.params, *function.params.kwonly_params)
    if len(script.bindings(variable)) != 1 or name not in [one.name.value for one in parameters]:
        return None
    return Parameter(function, name, tuple(script.reads(variable)))
