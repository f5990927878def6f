"""Which assignment a local name has its value from, and where that value goes: certain, or not at all.

A binding holds in the statements after it in its block, as far as the next binding of the name there. Where every use
of the name lies in such a stretch, no use can have its value from elsewhere; nor where there is but one binding.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import libcst as cst
from libcst.metadata import Assignment, ComprehensionScope, Scope

from crossentropy.doctor._convert._script import Script, Variable

_BODIES = (cst.Module, cst.IndentedBlock, cst.SimpleStatementLine, cst.SimpleStatementSuite)


@dataclass(frozen=True)
class Definition:
    """An assignment of one expression to one name."""

    target: cst.Name
    value: cst.BaseExpression
    statement: cst.Assign | cst.AnnAssign
    uses: tuple[cst.Name, ...]
    """All places that have their value from here."""


def definition(script: Script, use: cst.Name) -> Definition | None:
    """The definition that gives a name its value at this place, if it is certain."""
    return next((found for found in _definitions(script, use) if use in found.uses), None)


def defined(script: Script, target: cst.Name) -> Definition | None:
    """The definition that an assignment to this name makes, if it is certain where its value goes."""
    return next((found for found in _definitions(script, target) if found.target is target), None)


def reached(script: Script, target: cst.Name) -> list[cst.Name] | None:
    """The uses of what is assigned to this name, alone or as an element of several, if it is certain which they are."""
    found = dict(_bindings(script, target) or ())
    if target not in found or any(_mutated(script, use) for use in found[target]):
        return None
    return found[target]


def values(script: Script, use: cst.Name) -> list[cst.BaseExpression]:
    """All expressions that are assigned to a local name anywhere; none if something else binds or changes it."""
    scope = script.scope(use)
    if use.value not in scope.assignments or script.is_shared(Variable(scope, use.value)):
        return []
    targets, uses = _occurrences(scope, use.value)
    assigned = [_assignment(script, target) for target in targets]
    if any(_foreign(script, node, scope) for node in targets) or any(_mutated(script, node) for node in uses):
        return []
    found = [one.value for one in assigned if one is not None and one.value is not None]
    return found if len(found) == len(targets) else []


def unpacked(script: Script, use: cst.Name) -> tuple[cst.BaseExpression, int] | None:
    """The expression of which an element gives a name its value at this place, and which, if that is certain."""
    target = next((target for target, uses in _bindings(script, use) or () if use in uses), None)
    element = None if target is None else script.parent(target)
    names = script.parent(element) if isinstance(element, cst.Element) else None
    statement = script.parent(script.parent(names)) if isinstance(names, cst.Tuple | cst.List) else None
    if not isinstance(names, cst.Tuple | cst.List) or not isinstance(statement, cst.Assign):
        return None
    if len(statement.targets) != 1 or any(isinstance(one, cst.StarredElement) for one in names.elements):
        return None
    uses = reached(script, target) if isinstance(target, cst.Name) else None
    at = next(index for index, one in enumerate(names.elements) if one is element)
    return None if uses is None else (statement.value, at)


def _definitions(script: Script, name: cst.Name) -> list[Definition]:
    """The definitions of a name in a scope by an assignment to it alone, and of values that are not changed."""
    assigned = [(target, _assignment(script, target), uses) for target, uses in _bindings(script, name) or ()]
    return [
        Definition(target, statement.value, statement, tuple(uses))
        for target, statement, uses in assigned
        if isinstance(target, cst.Name) and statement is not None and statement.value is not None
        if not any(_mutated(script, use) for use in uses)
    ]


def _bindings(script: Script, name: cst.Name) -> list[tuple[cst.CSTNode, list[cst.Name]]] | None:
    """The bindings of a name in a scope and their uses, if each use can be told from which it has its value."""
    scope = script.scope(name)
    if name.value not in scope.assignments or script.is_shared(Variable(scope, name.value)):
        return None
    targets, uses = _occurrences(scope, name.value)
    if any(not _immediate(script, use, scope) for use in uses) or any(
        _foreign(script, node, scope) for node in targets
    ):
        return None
    everywhere = [script.file(name).module] if len(targets) == 1 else None
    stretches = [(target, everywhere or [*_stretch(script, target, targets)]) for target in targets]
    found = [(target, [use for use in uses if _within(script, use, stretch)]) for target, stretch in stretches]
    return None if any(sum(use in some for _, some in found) != 1 for use in uses) else found


def is_unchanged(script: Script, value: cst.Name, since: Definition, until: cst.CSTNode) -> bool:
    """Whether a name means at `until` what it meant when `since` was assigned, and keeps its values for backward."""
    targets, _ = _occurrences(script.scope(value), value.value)
    around = {until, *script.ancestors(until)}
    reached = False
    for statement in _following(script, since.statement):
        names = [node for node in script.inside(statement) if isinstance(node, cst.Name) and node.value == value.value]
        if any(_mutated(script, node) for node in names):
            return False
        bound = any(node in targets for node in names)
        if bound and not reached and not (statement in around and _assigning(statement)):
            return False
        reached |= statement in around
    return reached


def _occurrences(scope: Scope, name: str) -> tuple[list[cst.CSTNode], list[cst.Name]]:
    """What binds a name of a scope, and its uses there and in scopes within."""
    bindings = list(scope.assignments[name])
    targets = [binding.node for binding in bindings if isinstance(binding, Assignment)]
    accesses = {access.node for binding in bindings for access in binding.references}
    uses = [node for node in accesses if isinstance(node, cst.Name) and node not in targets]
    return targets, uses


def _immediate(script: Script, use: cst.Name, scope: Scope) -> bool:
    """Whether a use is evaluated where it stands, which that in a function within is not."""
    inner = script.scope(use)
    while isinstance(inner, ComprehensionScope):
        inner = inner.parent
    return inner is scope


def _foreign(script: Script, target: cst.CSTNode, scope: Scope) -> bool:
    """Whether a binding is made from another scope, by global or nonlocal."""
    return isinstance(target, cst.Name) and script.scope(target) is not scope


def _stretch(script: Script, target: cst.CSTNode, targets: Sequence[cst.CSTNode]) -> Iterator[cst.CSTNode]:
    """The statements, or parts of one, in which a binding is certain to hold."""
    yield from _before_next(script, _governed(script, target), targets)


def _before_next(script: Script, lines: Sequence[cst.CSTNode], targets: Sequence[cst.CSTNode]) -> Iterator[cst.CSTNode]:
    """The statements, or parts of one, that come before the name is bound again: in each branch of its own."""
    for line in lines:
        inside = set(script.inside(line))
        if not any(other in inside for other in targets):
            yield line
            continue
        if isinstance(line, cst.If):
            for part in (line.test, line.body, line.orelse):
                body = part.body if isinstance(part, cst.Else) else part
                inner = body.body if isinstance(body, cst.IndentedBlock) else [body] if body is not None else []
                yield from _before_next(script, inner, targets)
        elif (statement := _assigning(line)) is not None and statement.value is not None:
            yield statement.value
        return


def _governed(script: Script, target: cst.CSTNode) -> Sequence[cst.CSTNode]:
    """The statements that run after a binding, whatever else happens, before the name is bound again."""
    parent = script.parent(target)
    if isinstance(target, cst.Param) or isinstance(parent, cst.Param):
        function = script.around(target, cst.FunctionDef)
        return function.body.body if function is not None else ()
    loop = script.around(target, cst.For)
    if loop is not None and target in set(script.inside(loop.target)):
        return loop.body.body
    context = script.around(target, cst.With)
    if context is not None and any(item.asname and target in set(script.inside(item.asname)) for item in context.items):
        return context.body.body
    if isinstance(target, cst.FunctionDef | cst.ClassDef):
        return _following(script, target)
    statement = script.around(target, cst.BaseSmallStatement)
    if not isinstance(statement, cst.Assign | cst.AnnAssign):
        return ()
    return _following(script, statement)


def _following(script: Script, statement: cst.CSTNode) -> Sequence[cst.CSTNode]:
    """The statements after one in its block, which may begin on the same line."""
    parent = script.parent(statement)
    body: Sequence[cst.CSTNode] = parent.body if isinstance(parent, _BODIES) else ()
    after = body[body.index(statement) + 1 :] if statement in body else ()
    if isinstance(parent, cst.SimpleStatementLine):
        return [*after, *_following(script, parent)]
    context = script.parent(parent) if isinstance(parent, cst.IndentedBlock) else None
    return [*after, *_following(script, context)] if context is not None and _goes_on(script, context) else after


def _goes_on(script: Script, context: cst.CSTNode) -> bool:
    """Whether a block is left at its end alone, or with an exception: the contexts of torch swallow none."""
    if not isinstance(context, cst.With):
        return False
    calls = [item.item.func for item in context.items if isinstance(item.item, cst.Call)]
    names = [script.imported(call) or "" for call in calls]
    return len(names) == len(context.items) and all(name.startswith("torch.") for name in names)


def _assigning(statement: cst.CSTNode) -> cst.Assign | cst.AnnAssign | None:
    """The assignment that a statement is, if it is nothing else."""
    if isinstance(statement, cst.SimpleStatementLine) and len(statement.body) == 1:
        statement = statement.body[0]
    return statement if isinstance(statement, cst.Assign | cst.AnnAssign) else None


def _assignment(script: Script, target: cst.CSTNode) -> cst.Assign | cst.AnnAssign | None:
    """The assignment to a target and nothing else."""
    parent = script.parent(target)
    if isinstance(parent, cst.AssignTarget):
        statement = script.parent(parent)
        return statement if isinstance(statement, cst.Assign) and len(statement.targets) == 1 else None
    return parent if isinstance(parent, cst.AnnAssign) and parent.target is target else None


def _mutated(script: Script, node: cst.BaseExpression) -> bool:
    """Whether a value is changed in place: assigned to in part, or by a method whose name ends with an underscore."""
    parent = script.parent(node)
    if isinstance(parent, cst.AugAssign):
        return parent.target is node
    method = script.method_call(node)
    if method is not None:
        return method[0].endswith("_") or _mutated(script, method[1])
    if not isinstance(parent, cst.Subscript | cst.Attribute) or parent.value is not node:
        return False
    return isinstance(script.parent(parent), cst.AssignTarget) or _mutated(script, parent)


def _within(script: Script, node: cst.CSTNode, stretch: Sequence[cst.CSTNode]) -> bool:
    return node in stretch or any(outer in stretch for outer in script.ancestors(node))
