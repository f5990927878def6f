"""Losses of an activation become losses of the logits, together with the models that end in it.

A criterion has one class, so all its calls change with it; a model has one last layer, so all losses of its output do.
A group begins with one loss and gathers what hangs on it, or is refused as a whole.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import libcst as cst

from crossentropy.doctor._convert._activations import Activation, Kind, activation, require_class_axis
from crossentropy.doctor._convert._edits import Edit, Proposal, Refused, attempt
from crossentropy.doctor._convert._flow import Flow, Objects
from crossentropy.doctor._convert._imports import rename
from crossentropy.doctor._convert._losses import Loss, Site, loss_at, losses, setting, settings, sites
from crossentropy.doctor._convert._losses import site as site_of
from crossentropy.doctor._convert._models import called, needed, outputs, tail, uses
from crossentropy.doctor._convert._one_hot import one_hot
from crossentropy.doctor._convert._script import Script
from crossentropy.doctor._convert._shapes import (
    before_laying_out,
    before_reshaping,
    is_matrix,
    laid_out,
    reshaped,
    unflattened,
)
from crossentropy.doctor._convert._sources import Source, Unwrapping, source

_CROSS_ENTROPY = {"function": "torch.nn.functional.cross_entropy", "class": "torch.nn.CrossEntropyLoss"}
_NLL = {
    "torch.nn.functional.nll_loss": _CROSS_ENTROPY["function"],
    "torch.nn.NLLLoss": _CROSS_ENTROPY["class"],
}
_MSE = {
    "torch.nn.functional.mse_loss": _CROSS_ENTROPY["function"],
    "torch.nn.MSELoss": _CROSS_ENTROPY["class"],
}
_BCE = {
    "torch.nn.functional.binary_cross_entropy": "torch.nn.functional.binary_cross_entropy_with_logits",
    "torch.nn.BCELoss": "torch.nn.BCEWithLogitsLoss",
}


@dataclass(frozen=True)
class Rewrite:
    """A loss of an activation, and the loss of the logits that takes its place."""

    rule: str
    kind: Kind
    losses: dict[str, str]
    """Names of the losses, and of those that replace them."""
    description: str
    safe: bool
    expected: bool
    """Whether the loss always wants the activation, so that one without it in sight is worth a word."""
    indices: bool = False
    """Whether one-hot targets become class indices."""


REWRITES = (
    Rewrite(
        "nll-of-log-softmax",
        "log_softmax",
        _NLL,
        "same value: nll_loss of log_softmax is cross_entropy of the logits",
        safe=True,
        expected=True,
    ),
    Rewrite(
        "softmax-before-cross-entropy",
        "softmax",
        {name: name for name in _CROSS_ENTROPY.values()},
        "the loss changes: softmax is no longer applied twice",
        safe=False,
        expected=False,
    ),
    Rewrite(
        "mse-on-one-hot",
        "softmax",
        _MSE,
        "the loss changes: cross entropy of the logits instead of the squared error of probabilities",
        safe=False,
        expected=False,
        indices=True,
    ),
    Rewrite(
        "sigmoid-before-bce",
        "sigmoid",
        _BCE,
        "the loss changes only where it was cut off: binary_cross_entropy of probabilities never exceeds 100 a term",
        safe=False,
        expected=True,
    ),
)


def propose(script: Script, objects: Objects) -> Iterator[Proposal | Refused]:
    """The rewrites of all losses of an activation."""
    for rewrite in REWRITES:
        done: set[object] = set()
        for loss in losses(script, objects, *rewrite.losses):
            group = Group(script, objects, rewrite)
            if loss.made not in done:
                yield from attempt(partial(group.propose, loss))
            done |= group.members


@dataclass(frozen=True)
class Applied:
    """An activation that is applied to the logits of a loss."""

    activation: Activation
    named: cst.BaseExpression
    """The argument of the loss, or the name in it, that the activation made."""
    source: Source


class Group:
    """What changes together."""

    def __init__(self, script: Script, objects: Objects, rewrite: Rewrite) -> None:
        self.members: set[cst.Call] = set()
        """The losses and the models, by the calls that make them."""
        self._script = script
        self._objects = objects
        self._rewrite = rewrite
        self._elementwise = rewrite.kind == "sigmoid"
        self._sure = True
        self._logits = Unwrapping(script, "logits")
        self._indices = Unwrapping(script, "indices")
        self._pending: list[Loss] = []
        self._edits: list[Edit] = []
        self._imports: set[Edit] = set()
        self._restored: list[cst.BaseExpression] = []

    def propose(self, loss: Loss) -> Proposal | None:
        """The proposal that begins with a loss; None if there is nothing to take away."""
        rewrite = self._rewrite
        found = [self._origin(site.input) for site in sites(self._script, loss)]
        if not any(found):
            if rewrite.expected and found:
                raise Refused(loss.made, f"no {rewrite.kind} is in sight before this {loss.short}")
            return None
        self._add(loss)
        while self._pending:
            self._change(self._pending.pop())
        if rewrite.safe:
            self._require_no_others()
        edits = (*self._edits, *self._logits.edits(), *self._indices.edits())
        safe, imports = rewrite.safe and self._sure, frozenset(self._imports)
        doubt = "" if self._sure else "; with more than two axes, the classes would be another axis than now"
        return Proposal(
            loss.made, rewrite.rule, rewrite.description + doubt, edits, safe, imports, tuple(self._restored)
        )

    def _origin(self, argument: cst.BaseExpression) -> Applied | Flow | None:
        """What made the input of a loss: the activation, applied to it, or a model that ends in it."""
        named = before_reshaping(argument) if self._elementwise else before_laying_out(argument)
        found = source(self._script, named)
        value = before_reshaping(found.value) if self._elementwise else found.value
        if (applied := activation(self._script, self._objects, value)) is not None:
            return Applied(applied, named, found) if applied.kind == self._rewrite.kind else None
        models = called(self._script, self._objects, value) if isinstance(value, cst.Call) else []
        ends = [tail(self._script, self._objects, model) for model in models]
        if all(end is None or end.activation.kind != self._rewrite.kind for end in ends):
            return None
        for at, how in (problem for model in models for problem in model.mixed):
            raise Refused(at, f"this may not be the only model that is trained: {how}")
        return models[0]

    def _add(self, loss: Loss) -> None:
        if loss.made not in self.members:
            self.members.add(loss.made)
            self._pending.append(loss)

    def _change(self, loss: Loss) -> None:
        for at, how in loss.problems:
            raise Refused(at, f"other uses of this {loss.short} cannot be seen: {how}")
        self._rename(loss)
        for site in sites(self._script, loss):
            found = self._origin(site.input)
            if isinstance(found, Applied):
                self._unwrap(found, site)
            elif found is not None:
                self._change_model(found, site)
            else:
                raise Refused(site.call, f"no {self._rewrite.kind} is in sight before this call of the loss")
            if self._rewrite.indices:
                self._change_target(site.target)

    def _rename(self, loss: Loss) -> None:
        name = self._rewrite.losses[loss.name]
        if self._rewrite.indices and not _has_same_settings(self._script, loss):
            raise Refused(loss.made, f"the settings of this {loss.short} mean something else for cross entropy")
        if name != loss.name:
            edit, spelling = rename(self._script, loss.made.func, name)
            self._edits.append(edit)
            self._imports |= spelling.imports

    def _check(self, found: Activation, site: Site) -> None:
        if not found.plain:
            raise Refused(found.call, f"the {found.kind} changes the dtype as well")
        if not self._elementwise and before_laying_out(site.input) is not site.input:
            self._require_last_axis(found)
            return
        two_axes = unflattened(site.target) is not None or (found.operand is not None and is_matrix(found.operand))
        self._sure &= require_class_axis(found) or two_axes

    def _require_last_axis(self, found: Activation) -> None:
        """Of an activation whose last axis is then brought to where the loss reads its classes."""
        if found.dim != "-1":
            where = "an axis that depends on the shape" if found.dim is None else f"axis {found.dim}"
            raise Refused(
                found.call, f"the {found.kind} is over {where}, and the last axis becomes that of the classes"
            )

    def _unwrap(self, found: Applied, site: Site) -> None:
        definition, applied = found.source.definition, found.activation
        if applied.operand is None:
            raise Refused(applied.call, f"it cannot be seen what this {applied.kind} is applied to")
        self._check(applied, site)
        if definition is None:
            self._logits.unwrap(applied.call, found.source, applied.operand)
            return
        if definition.value is not applied.call:
            raise Refused(definition.value, f"this {applied.kind} is followed by a change of shape")
        self._logits.unwrap(found.named, found.source, applied.operand)
        for use in definition.uses:
            if (loss := self._loss_of(use)) is not None:
                self._add(loss)

    def _require_no_others(self) -> None:
        for use in self._logits.others():
            raise Refused(use, f"{use.value} is used for more than the loss, so the {self._rewrite.kind} has to stay")

    def _loss_of(self, use: cst.BaseExpression) -> Loss | None:
        """The loss that an expression is the input of."""
        whole = reshaped(self._script, use) if self._elementwise else laid_out(self._script, use)
        argument = self._script.parent(whole)
        call = self._script.parent(argument) if isinstance(argument, cst.Arg) else None
        if not isinstance(call, cst.Call):
            return None
        loss = loss_at(self._script, self._objects, call)
        if loss is None or loss.name not in self._rewrite.losses:
            return None
        return loss if site_of(self._script, loss, call).input is whole else None

    def _change_model(self, model: Flow, site: Site) -> None:
        end = tail(self._script, self._objects, model)
        if end is None or model.made in self.members:
            return
        self.members.add(model.made)
        self._check(end.activation, site)
        self._edits += end.edits
        for output in outputs(self._script, self._objects, model):
            for use in uses(self._script, output, self._elementwise):
                self._change_use(use, end.activation)

    def _change_use(self, use: cst.BaseExpression, removed: Activation) -> None:
        if (loss := self._loss_of(use)) is not None:
            return self._add(loss)
        if needed(self._script, use) != "value":
            return None
        if self._rewrite.safe:
            raise Refused(use, f"this output is used for more than the loss, so the {removed.kind} has to stay")
        end = self._script.span(use)[1]
        self._edits.append(Edit(end, end, removed.suffix))
        return self._restored.append(use)

    def _change_target(self, target: cst.BaseExpression) -> None:
        found = source(self._script, target)
        rows = one_hot(self._script, found.value)
        if rows is None:
            raise Refused(target, "it cannot be seen that this target is one-hot, nor of which class indices")
        self._indices.unwrap(target, found, rows.indices)


def _has_same_settings(script: Script, loss: Loss) -> bool:
    """Whether all settings of a squared error mean the same for cross entropy."""
    given = settings(script, loss)
    return not given.keys() - {"reduction"} and setting(script, loss, "reduction") in (None, "mean", "sum")
