"""A class of models and a class of losses that are handed to a trainer, which makes both."""

import re
from collections.abc import Iterator
from functools import partial

import libcst as cst

from crossentropy.doctor._convert._activations import require_class_axis
from crossentropy.doctor._convert._edits import Proposal, Refused, attempt
from crossentropy.doctor._convert._flow import Objects
from crossentropy.doctor._convert._functions import names_type
from crossentropy.doctor._convert._models import Ends
from crossentropy.doctor._convert._rewrites import REWRITES, Rewrite
from crossentropy.doctor._convert._script import Script

_TRAINER = re.compile(r"(ray_)?skorch\.(\w+\.)*\w*NeuralNet\w*")
"""Trainers that apply the activation which a loss of logits wants to what they predict."""


def propose(script: Script, objects: Objects) -> Iterator[Proposal | Refused]:
    """The rewrites of all classes that are handed over with a loss that takes logits."""
    for call in script.find(cst.Call):
        if not _TRAINER.fullmatch(script.imported(call.func) or "") or any(one.star for one in call.args):
            continue
        given = script.arguments(call, ("module", "criterion"))
        loss = script.imported(given["criterion"].value) if "criterion" in given else None
        for rewrite in REWRITES:
            if "module" in given and rewrite.keeps_loss and loss in rewrite.losses:
                handed = partial(_proposal, script, objects, rewrite, given["module"].value)
                yield from attempt(handed, rewrite.rule, call)


def _proposal(script: Script, objects: Objects, rewrite: Rewrite, module: cst.BaseExpression) -> Proposal | None:
    owner = script.named(module)
    end = Ends(script, objects, owner, None).tail(None) if isinstance(owner, cst.ClassDef) else None
    if not isinstance(owner, cst.ClassDef) or end is None or end.activation.kind != rewrite.kind:
        return None
    if end.doubt is not None:
        raise Refused(*end.doubt, "Is it applied where the loss is computed?")
    reads = [read for read in script.reads(script.variable(owner)) if not names_type(script, read)]
    if reads != [module] or script.leaks(script.variable(owner)):
        why = f"{owner.name.value} is used for more than this trainer"
        raise Refused(owner, why, "Are probabilities needed there?")
    require_class_axis(end.activation)
    effect = f"{rewrite.description}; the trainer itself applies what this loss wants to what it predicts"
    return Proposal(module, rewrite.rule, effect, end.edits, rewrite.safe, end.imports)
