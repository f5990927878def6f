"""The losses of crossentropy in place of torch's."""

from collections.abc import Iterator
from functools import partial

import libcst as cst
from libcst.helpers import get_full_name_for_node

from crossentropy.doctor._convert._edits import Edit, Proposal, Refused, attempt
from crossentropy.doctor._convert._imports import spell
from crossentropy.doctor._convert._script import Script, Variable
from crossentropy.doctor._convert._statements import after, enclosing, without_element

_OURS = {
    "torch.nn": ("crossentropy.nn", ("CrossEntropyLoss", "KLDivLoss", "NLLLoss")),
    "torch.nn.functional": ("crossentropy.functional", ("cross_entropy", "kl_div", "nll_loss")),
}
_RULE = "import-crossentropy"
_SCRIPTING = "torch.jit.script"
_EFFECT = "same value: the loss of crossentropy in place of torch's"


def propose(script: Script) -> Iterator[Proposal | Refused]:
    """The rewrites of all losses of torch that crossentropy has too: imported names, and calls of other ones."""
    for statement in script.find(cst.ImportFrom):
        yield from attempt(partial(_from_import, script, statement), _RULE, statement)
    for call in script.find(cst.Call):
        yield from attempt(partial(_from_call, script, call), _RULE, call)


def _from_call(script: Script, call: cst.Call) -> Proposal | None:
    name = _ours(script, call.func) if isinstance(call.func, cst.Attribute) else None
    if name is None or not isinstance(call.func, cst.Attribute) or script.original(call.func.value) is None:
        return None
    _require_not_scripted(script, call)
    spelling = spell(script, name, call.func)
    return Proposal(call, _RULE, _EFFECT, (script.write(call.func, spelling.text),), imports=spelling.imports)


def _require_not_scripted(script: Script, node: cst.CSTNode) -> None:
    """Raise if a loss may be compiled by torch.jit.script, which has no keyword-only parameters, as ours have."""
    functions = [one for one in script.ancestors(node) if isinstance(one, cst.FunctionDef)]
    decorators = [one.decorator for function in functions for one in function.decorators]
    if any((script.imported(one) or "").startswith("torch.jit.") for one in decorators):
        raise Refused(node, f"{_SCRIPTING} compiles this function, and cannot compile a loss of crossentropy")
    for call in script.calling(_SCRIPTING):
        if script.around(node, cst.ClassDef) is not None or call in script.ancestors(node):
            question = f"Is it this that {script.brief(call)} compiles?"
            raise Refused(call, f"{_SCRIPTING} cannot compile a loss of crossentropy", question)


def _ours(script: Script, function: cst.Attribute) -> str | None:
    """Our name of a function of torch."""
    name = script.imported(function) or ""
    module, _, last = name.rpartition(".")
    ours, names = _OURS.get(module, ("", ()))
    if last not in names or (script.original(function) or "").startswith("crossentropy"):
        return None
    return f"{ours}.{last}"


def _from_import(script: Script, statement: cst.ImportFrom) -> Proposal | None:
    module = _module(statement)
    if module not in _OURS or isinstance(statement.names, cst.ImportStar) or statement.relative:
        return None
    ours, names = _OURS[module]
    mine = [index for index, alias in enumerate(statement.names) if alias.evaluated_name in names]
    if not mine:
        return None
    aliases = [statement.names[index] for index in mine]
    for name in (alias.evaluated_alias or alias.evaluated_name for alias in aliases):
        for read in script.reads(Variable(script.scope(statement), name)):
            _require_not_scripted(script, read)
    if len(mine) == len(statement.names) and statement.module is not None:
        return Proposal(statement, _RULE, _EFFECT, (script.write(statement.module, ours),))
    index = mine[0]
    moved = script.text(statement.names[index])
    edits = (without_element(script, statement.names, index), _import_ours(script, statement, ours, moved))
    return Proposal(statement, _RULE, _EFFECT, edits)


def _import_ours(script: Script, statement: cst.ImportFrom, module: str, name: str) -> Edit:
    """The edit that imports a name of ours: with those that were moved before it, or after the statement."""
    for other in script.find(cst.ImportFrom):
        beside = script.parent(script.parent(other)) is script.parent(script.parent(statement))
        if beside and not isinstance(other.names, cst.ImportStar) and _module(other) == module and other.lpar is None:
            end = script.span(other.names[-1])[1]
            return Edit(end, end, f", {name}")
    return after(script, enclosing(script, statement), f"from {module} import {name}")


def _module(statement: cst.ImportFrom) -> str | None:
    return get_full_name_for_node(statement.module) if statement.module is not None else None
