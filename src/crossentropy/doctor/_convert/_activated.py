"""Losses of an activation become losses of the logits, together with the models that end in it.

A criterion has one class, so all its calls change with it; a model has one last layer, so all losses of its output do.
A group begins with one loss and gathers what hangs on it, or is refused as a whole.
"""

from collections.abc import Iterator
from contextlib import suppress
from functools import partial

import libcst as cst

from crossentropy.doctor._convert._activations import Activation, require_class_axis
from crossentropy.doctor._convert._edits import Edit, Proposal, Refused, attempt
from crossentropy.doctor._convert._flow import Flow, Objects
from crossentropy.doctor._convert._givers import Parameter, given_to
from crossentropy.doctor._convert._imports import rename
from crossentropy.doctor._convert._losses import Loss, Site, losses, losses_at, readable_sites, setting, settings, sites
from crossentropy.doctor._convert._losses import site as site_of
from crossentropy.doctor._convert._models import outputs, tail
from crossentropy.doctor._convert._one_hot import one_hot
from crossentropy.doctor._convert._origins import Applied, Doubt, Origins, Output
from crossentropy.doctor._convert._reach import reached
from crossentropy.doctor._convert._rewrites import LOGITS, REWRITES, Rewrite
from crossentropy.doctor._convert._script import Script
from crossentropy.doctor._convert._shapes import is_matrix, kept, laid_out, permutes, reshaped, unflattened
from crossentropy.doctor._convert._sources import Unwrapping, source
from crossentropy.doctor._convert._uses import CLASSES, Axes, Part, needed, uses
from crossentropy.doctor._knowledge._binding import SIGNATURES


def propose(script: Script, objects: Objects) -> Iterator[Proposal | Refused]:
    """The rewrites of all losses of an activation."""
    found: list[tuple[Loss, Proposal | Refused]] = []
    wanting: dict[cst.Call, Refused] = {}
    for rewrite in REWRITES:
        done: set[object] = set()
        for loss in losses(script, objects, *rewrite.losses):
            group = Group(script, objects, rewrite)
            if loss.made not in done:
                found += [(loss, one) for one in attempt(partial(group.propose, loss), rewrite.rule, loss.made)]
            done |= group.members
            if rewrite.expected and loss.calls:
                wanting.setdefault(loss.made, group.wanting(loss))
    handled = {loss.made for loss, _ in found}
    yield from (one for _, one in found)
    yield from (refused for made, refused in wanting.items() if made not in handled)


class Group:
    """What changes together."""

    def __init__(self, script: Script, objects: Objects, rewrite: Rewrite) -> None:
        self.members: set[cst.Call] = set()
        """The losses and the models, by the calls that make them."""
        self._script = script
        self._objects = objects
        self._rewrite = rewrite
        self._elementwise = rewrite.kind == "sigmoid"
        self._origins = Origins(script, objects, rewrite.kind, certain=not rewrite.keeps_loss)
        self._doubt = ""
        """With how many axes the activation is over others than the loss."""
        self._laid_out = False
        self._logits = Unwrapping(script, "logits")
        self._indices = Unwrapping(script, "indices")
        self._pending: list[Loss] = []
        self._edits: list[Edit] = []
        self._imports: set[Edit] = set()
        self._used: list[tuple[cst.BaseExpression, Activation, Doubt | None]] = []
        """Where an activation that was taken away may be needed, and why it cannot be put back there."""
        self._restored: list[cst.BaseExpression] = []
        self._saved: list[cst.CSTNode] = []
        self._parameters: set[tuple[cst.FunctionDef, str]] = set()
        self._outputs: set[tuple[cst.Call, Part]] = set()
        self._open: list[tuple[cst.FunctionDef, str]] = []

    def propose(self, loss: Loss) -> Proposal | None:
        """The proposal that begins with a loss; None if there is nothing to take away."""
        rewrite = self._rewrite
        if not any(self._origins.of(site.input) for site in readable_sites(self._script, loss)):
            return None
        self._add(loss)
        while self._pending:
            self._change(self._pending.pop())
        for use, removed, doubt in self._used:
            self._put_back(use, removed, doubt)
        if rewrite.safe and not rewrite.keeps_loss:
            self._require_no_others()
        edits = tuple(dict.fromkeys((*self._edits, *self._logits.edits(), *self._indices.edits())))
        safe, imports = rewrite.safe and not self._doubt, frozenset(self._imports)
        axes = f"{self._doubt} {'axis' if self._doubt.endswith('one') else 'axes'}"
        doubt = f"; with {axes}, the classes may be another axis than now" if self._doubt else ""
        return Proposal(
            loss.made,
            rewrite.rule,
            rewrite.description + doubt,
            edits,
            safe,
            imports,
            tuple(self._restored),
            tuple(dict.fromkeys(self._saved)),
        )

    def wanting(self, loss: Loss) -> Refused:
        """That the activation a loss wants is not in sight, and where its input can be followed back no further."""
        for call in loss.calls:
            with suppress(Refused):
                at, why = self.obstacle(call) or (loss.made, "")
                break
        else:
            at, why = loss.made, ""
        reason = f"no {self._rewrite.kind} is in sight before this {loss.short}"
        question = f"Is what it is given a {self._rewrite.kind}, and of what?"
        refused = Refused(at, f"{reason}: {why}" if why else reason, question)
        refused.rule, refused.loss = self._rewrite.rule, loss.made
        return refused

    def obstacle(self, call: cst.Call) -> tuple[cst.CSTNode, str] | None:
        """Where the input of a call of a loss can be followed back no further, and why."""
        for loss in losses_at(self._script, self._objects, call):
            self._origins.of(site_of(self._script, loss, call).input)
            return self._origins.obstacle
        return None

    def _add(self, loss: Loss) -> None:
        if loss.made not in self.members:
            self.members.add(loss.made)
            self._pending.append(loss)

    def _change(self, loss: Loss) -> None:
        if self._rewrite.keeps_loss:
            for site in readable_sites(self._script, loss):
                if self._origins.of(site.input):
                    self._require_no_other_loss(site.call)
                    self._change_input(site)
            return
        for at, how in loss.problems:
            raise Refused(at, f"other uses of this {loss.short} cannot be seen: {how}", "What is it given there?")
        self._rename(loss)
        for site in sites(self._script, loss):
            self._require_no_other_loss(site.call)
            self._change_input(site)
            if self._rewrite.indices:
                self._change_target(site.target)

    def _require_no_other_loss(self, call: cst.Call) -> None:
        """Whatever a call computes has to take the logits."""
        for flow in self._objects.may_be_called_by(call):
            for at, how in flow.mixed:
                raise Refused(at, f"this call may also be of another loss: {how}", "Does that take logits?")
            name = self._script.imported(flow.made.func)
            if name not in SIGNATURES:
                text = self._script.brief(flow.made.func)
                raise Refused(flow.made, f"this call may also be of {text}", "Does that take logits?")
        for other in losses_at(self._script, self._objects, call):
            if other.name in self._rewrite.losses:
                self._add(other)
            elif not self._rewrite.keeps_loss or other.name not in LOGITS:
                raise Refused(other.made, f"this call may also be of {other.short}, which takes what is put in now")

    def _change_input(self, site: Site) -> None:
        origins = self._origins.of(site.input)
        if not origins:
            question = f"Is what it is given a {self._rewrite.kind} as well, and of what?"
            raise Refused(site.call, f"no {self._rewrite.kind} is in sight before this call of the loss", question)
        for found in origins:
            if isinstance(found, Applied):
                removed = found.activation
                self._unwrap(found, site)
            else:
                removed = self._change_output(found, site)
            for definition in found.via:
                for use in definition.uses:
                    self._change_use(use, removed, self._moved(found))
            for through in found.through:
                self._change_parameter(through, removed, found.doubt or self._moved(found))

    def _moved(self, found: Applied | Output) -> Doubt | None:
        """Why the activation cannot be put back where the axes are those that the loss wants."""
        at = found.activation.call if isinstance(found, Applied) else found.models[0].made
        return (at, "the axes of its result have been moved") if found.laid_out or found.selected else None

    def _rename(self, loss: Loss) -> None:
        name = self._rewrite.losses[loss.name]
        if self._rewrite.indices and not _has_same_settings(self._script, loss):
            raise Refused(loss.made, f"the settings of this {loss.short} mean something else for cross entropy")
        if name != loss.name:
            edit, spelling = rename(self._script, loss.made.func, name)
            self._edits.append(edit)
            self._imports |= spelling.imports

    def _check(self, found: Activation, site: Site, origin: Applied | Output) -> None:
        if not found.plain:
            raise Refused(found.call, f"the {found.kind} changes the dtype as well")
        if origin.laid_out:
            self._laid_out = True
            made = (site.input, *(definition.value for definition in origin.via))
            if found.dim in ("0", None) and not any(map(permutes, made)):
                self._doubt = "more than one" if found.dim else "more than two"
            else:
                self._require_last_axis(found)
            return
        two_axes = unflattened(site.target) is not None or (found.operand is not None and is_matrix(found.operand))
        if not require_class_axis(found) or origin.selected:
            self._suspect(found, two_axes)

    def _suspect(self, found: Activation, two_axes: bool = False) -> None:
        """Doubt that an activation is over the axis that the loss reads its classes from."""
        if not two_axes:
            self._doubt = "more than two" if "more" in self._doubt or found.dim is not None else "three"

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
        self._check(applied, site, found)
        if definition is None:
            self._logits.unwrap(applied.call, found.source, applied.operand)
            return
        if definition.value is not applied.call:
            raise Refused(definition.value, f"this {applied.kind} is followed by a change of shape")
        self._logits.unwrap(found.named, found.source, applied.operand)
        for use in definition.uses:
            for loss in self._losses_of(use):
                self._add(loss)

    def _require_no_others(self) -> None:
        for use in self._logits.others():
            raise Refused(use, f"{use.value} is used for more than the loss, so the {self._rewrite.kind} has to stay")

    def _losses_of(self, use: cst.BaseExpression) -> list[Loss]:
        """The losses that an expression is the input of, also through parameters of functions."""
        whole = reshaped(self._script, use) if self._elementwise else laid_out(self._script, use)
        argument = self._script.parent(whole)
        call = self._script.parent(argument) if isinstance(argument, cst.Arg) else None
        if not isinstance(call, cst.Call):
            return [loss for one in self._further(use) for loss in self._losses_of(one)]
        found = [loss for loss in losses_at(self._script, self._objects, call) if loss.name in self._rewrite.losses]
        if found:
            return found if site_of(self._script, found[0], call).input is whole else []
        through = given_to(self._script, self._objects, argument)
        if through is None or (through.function, through.name) in self._open:
            return []
        self._open.append((through.function, through.name))
        inner = [loss for read in through.reads for loss in self._losses_of(read)]
        self._open.pop()
        return inner

    def _further(self, use: cst.BaseExpression) -> list[cst.Name]:
        """The uses of a name that an expression is assigned to, also with its axes moved, if they are certain."""
        whole = reshaped(self._script, use) if self._elementwise else laid_out(self._script, use)
        statement = self._script.parent(whole)
        targets = [one.target for one in statement.targets] if isinstance(statement, cst.Assign) else []
        names = [one for one in targets if isinstance(one, cst.Name) and len(targets) == 1]
        return [use for name in names for use in reached(self._script, name) or ()]

    def _change_output(self, output: Output, site: Site) -> Activation:
        """Take the activation away from what models give, and put it back where their output is used otherwise."""
        ends = [(model, self._end(model, output.part)) for model in output.models]
        for model, end in ends:
            self._check(end, site, output)
            if end.suffix != ends[0][1].suffix:
                for one in (end, ends[0][1]):
                    if not require_class_axis(one):
                        self._suspect(one)
            self._change_model(model, output.part)
        return ends[0][1]

    def _end(self, model: Flow, part: Part) -> Activation:
        end = tail(self._script, self._objects, model, part)
        if end is None or end.activation.kind != self._rewrite.kind:
            raise Refused(model.made, f"this model, which may be called as well, does not end in {self._rewrite.kind}")
        if end.doubt is not None:
            raise Refused(*end.doubt, "Is it applied where the loss is computed?")
        return end.activation

    def _change_model(self, model: Flow, part: Part) -> None:
        """A model, and with it all objects of its class that end in the same activation."""
        end = tail(self._script, self._objects, model, part)
        if end is None or (model.made, part) in self._outputs:
            return
        self._outputs.add((model.made, part))
        self.members.add(model.made)
        self._edits += end.edits
        self._imports |= end.imports
        self._saved += model.saved
        for output in outputs(self._script, self._objects, model, certain=not self._rewrite.keeps_loss):
            doubt = self._doubt_of(output, part)
            for use in uses(self._script, output, part, self._elementwise):
                self._change_use(use, end.activation, doubt)
        for other in self._beside(model, part):
            found = tail(self._script, self._objects, other, part)
            if found is not None and {*found.edits} & {*end.edits}:
                self._change_model(other, part)

    def _doubt_of(self, output: cst.Call, part: Part) -> Doubt | None:
        """Why a call may be of another model, whose output is no result of the activation."""
        for model in self._objects.may_be_called_by(output) if self._rewrite.keeps_loss else ():
            for at, how in model.mixed:
                return at, f"it may be the output of another model: {how}"
            if not self._ends(model, part):
                return model.made, f"it may be the output of another model, which does not end in {self._rewrite.kind}"
        return None

    def _ends(self, model: Flow, part: Part) -> bool:
        end = tail(self._script, self._objects, model, part)
        return end is not None and end.activation.kind == self._rewrite.kind

    def _beside(self, model: Flow, part: Part) -> list[Flow]:
        """Objects of the same classes; what a call may call instead has to end in the activation as well."""
        same = [one for owner in self._objects.classes_of(model.made) for one in self._objects.made_of(owner)]
        for call in model.calls:
            for other in self._objects.may_be_called_by(call):
                if other.made not in self.members and other not in same:
                    if self._rewrite.keeps_loss and not self._ends(other, part):
                        continue
                    self._end(other, part)
                    self._change_model(other, part)
        return same

    def _change_parameter(self, through: Parameter, removed: Activation, doubt: Doubt | None) -> None:
        if (through.function, through.name) not in self._parameters:
            self._parameters.add((through.function, through.name))
            for read in through.reads:
                self._change_use(read, removed, doubt)

    def _change_use(self, use: cst.BaseExpression, removed: Activation, doubt: Doubt | None) -> None:
        found = self._losses_of(use)
        for loss in found:
            self._add(loss)
        if not found:
            self._used.append((use, removed, doubt))
            return
        moved = doubt or (use, "the axes of its result are moved") if self._is_moved(use) else doubt
        for one in self._further(use):
            self._change_use(one, removed, moved)

    def _is_moved(self, use: cst.BaseExpression) -> bool:
        """Whether an expression is used with its axes moved, so that those of the activation are others."""
        return not self._elementwise and laid_out(self._script, use) is not kept(self._script, use)

    def _put_back(self, use: cst.BaseExpression, removed: Activation, doubt: Doubt | None) -> None:
        """Put an activation behind a use of the logits that needs more than their order."""
        if not self._is_needed(use, self._ordered(removed)):
            return
        if doubt is not None:
            text = self._script.brief(use)
            raise Refused(
                use, f"{text} is used for more than the loss, and {doubt[1]}", "Are probabilities needed here?"
            )
        end = self._script.span(use)[1]
        self._edits.append(Edit(end, end, removed.suffix))
        if use not in self._restored:
            self._restored.append(use)

    def _ordered(self, removed: Activation) -> Axes:
        """The axes over which the largest logits are where the largest results were."""
        if self._elementwise or (removed.dim != "1" and not self._laid_out):
            return CLASSES
        return (1,) if removed.dim == "1" else (-1,)

    def _is_needed(self, use: cst.BaseExpression, axes: Axes) -> bool:
        """Whether the values of an output are needed, also where a function of these files is given it."""
        if needed(self._script, use, axes) != "value":
            return False
        through = given_to(self._script, self._objects, self._script.parent(use))
        if through is None or (through.function, through.name) in self._open:
            return True
        self._open.append((through.function, through.name))
        inside = any(self._is_needed(read, axes) for read in through.reads)
        self._open.pop()
        return inside

    def _change_target(self, target: cst.BaseExpression) -> None:
        found = source(self._script, target)
        rows = one_hot(self._script, found.value)
        if rows is None:
            reason = "it cannot be seen that this target is one-hot, nor of which class indices"
            raise Refused(target, reason, "Are its rows one-hot, and of which class indices?")
        self._indices.unwrap(target, found, rows.indices)


def _has_same_settings(script: Script, loss: Loss) -> bool:
    """Whether all settings of a squared error mean the same for cross entropy."""
    given = settings(script, loss)
    return not given.keys() - {"reduction"} and setting(script, loss, "reduction") in (None, "mean", "sum")
