"""size_average and reduce, which torch deprecates, become reduction."""

from collections.abc import Iterator
from functools import partial

import libcst as cst

from crossentropy.doctor._convert._edits import Edit, Proposal, Refused, attempt
from crossentropy.doctor._convert._script import Script
from crossentropy.doctor._convert._tree import is_literal, literal
from crossentropy.doctor._knowledge._binding import SIGNATURES

_OLD = ("size_average", "reduce")


def propose(script: Script) -> Iterator[Proposal | Refused]:
    """The rewrites of all calls with a deprecated argument."""
    for call in script.find(cst.Call):
        parameters = SIGNATURES.get(script.imported(call.func) or "", ())
        if {*_OLD, "reduction"} <= {*parameters} and not any(argument.star for argument in call.args):
            yield from attempt(partial(_proposal, script, call, parameters), "deprecated-reduce")


def _proposal(script: Script, call: cst.Call, parameters: tuple[str, ...]) -> Proposal | None:
    given = script.arguments(call, parameters)
    old = {name: given[name] for name in _OLD if name in given}
    for name, argument in old.items():
        if not is_literal(argument.value):
            reason = f"{name}={script.text(argument.value)} is known only when the script runs"
            raise Refused(argument, reason, "Is it true or false?")
    if script.around(call, cst.FormattedString) is not None:
        raise Refused(call, "this call stands in a string, whose quotes may not allow reduction= to be written")
    average, reduce = (literal(old.get(name)) for name in _OLD)
    if average is None and reduce is None:
        return None
    reduction = "none" if reduce in (False, 0) else "sum" if average in (False, 0) else "mean"
    return Proposal(
        call,
        "deprecated-reduce",
        f"same value: reduction={reduction!r} is what {' and '.join(old)} said",
        tuple(_edits(script, call, {argument: name for name, argument in given.items()}, reduction)),
    )


def _edits(script: Script, call: cst.Call, names: dict[cst.Arg, str], reduction: str) -> Iterator[Edit]:
    """The first such argument becomes reduction=, the others go, and those after it are named."""
    replaced = (*_OLD, "reduction")
    first = next(index for index, argument in enumerate(call.args) if names[argument] in replaced)
    quote = script.quote(call)
    yield _write(script, call.args[first], f"reduction={quote}{reduction}{quote}")
    for index, argument in enumerate(call.args[first + 1 :], first + 1):
        if names[argument] in replaced:
            yield Edit(_end(script, call.args[index - 1]), _end(script, argument))
        elif argument.keyword is None:
            start = script.span(argument.value)[0]
            yield Edit(start, start, f"{names[argument]}=")


def _write(script: Script, argument: cst.Arg, text: str) -> Edit:
    start = script.span(argument.value if argument.keyword is None else argument.keyword)[0]
    return Edit(start, _end(script, argument), text)


def _end(script: Script, argument: cst.Arg) -> int:
    return script.span(argument.value)[1]
