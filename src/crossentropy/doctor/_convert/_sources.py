"""Going back from the argument of a loss to what made it, and taking that away there.

An argument is an expression, or a local name that such an expression was assigned to. `Unwrapping` puts what is within
the expression (the logits within a softmax, the indices within a one-hot row) in the place of the argument.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import libcst as cst

from crossentropy.doctor._convert._edits import Edit, Refused
from crossentropy.doctor._convert._reach import Definition, definition, is_unchanged
from crossentropy.doctor._convert._script import Script
from crossentropy.doctor._convert._statements import before, without_statement


@dataclass(frozen=True)
class Source:
    """Where a value comes from."""

    value: cst.BaseExpression
    """The expression that makes it."""
    definition: Definition | None = None
    """The assignment of that expression, if the argument is a name."""


def source(script: Script, argument: cst.BaseExpression) -> Source:
    """What makes an argument: the expression itself, or that which was assigned to it."""
    found = definition(script, argument) if isinstance(argument, cst.Name) else None
    return Source(argument) if found is None else Source(found.value, found)


def before_names(script: Script, argument: cst.BaseExpression) -> cst.BaseExpression:
    """The first of the names that hold one value, assigned each to the next."""
    while isinstance(argument, cst.Name):
        found = definition(script, argument)
        if found is None or not isinstance(found.value, cst.Name):
            break
        argument = found.value
    return argument


class Unwrapping:
    """Edits that give arguments what is within the expressions that made them, one for each definition."""

    def __init__(self, script: Script, name: str) -> None:
        self._script = script
        self._name = name
        self._direct: list[Edit] = []
        self._defined: dict[Definition, tuple[cst.BaseExpression, list[cst.Name]]] = {}

    def unwrap(self, argument: cst.BaseExpression, found: Source, inner: cst.BaseExpression) -> None:
        """Give an argument the expression `inner`, which is part of its source."""
        if found.definition is None:
            self._direct.append(self._script.replace(argument, inner))
        elif isinstance(argument, cst.Name):
            uses = self._defined.setdefault(found.definition, (inner, []))[1]
            uses += [argument] * (argument not in uses)

    def others(self) -> Iterable[cst.Name]:
        """The uses of the defined names that were not unwrapped."""
        return (use for found, (_, uses) in self._defined.items() for use in found.uses if use not in uses)

    def edits(self) -> list[Edit]:
        """All edits."""
        defined = self._defined.items()
        return [*self._direct, *(edit for found, (inner, uses) in defined for edit in self._at(found, inner, uses))]

    def _at(self, found: Definition, inner: cst.BaseExpression, uses: list[cst.Name]) -> list[Edit]:
        script, alone = self._script, len(uses) == len(found.uses)
        if isinstance(inner, cst.Name):
            renamed = inner.value != found.target.value
            if renamed and not all(is_unchanged(script, inner, found, use) for use in uses):
                reason = f"{inner.value} may have changed since {found.target.value} was made of it"
                raise Refused(found.target, reason, f"Does {inner.value} still hold the logits at the loss?")
            if renamed or alone:
                edits = [script.write(use, inner.value) for use in uses] if renamed else []
                return [*edits, without_statement(script, found.statement)] if alone else edits
        name = script.fresh(self._name, found.target, alone)
        edits = [script.write(use, name) for use in uses]
        if alone:
            return [*edits, script.write(found.target, name), script.replace(found.value, inner)]
        made = f"{name} = {script.operand(inner, found.value)}"
        return [*edits, before(script, found.statement, made), script.write(inner, name)]
