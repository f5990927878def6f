"""kl_div whose mean is over all entries becomes one over rows: reduction="batchmean"."""

from collections.abc import Iterator
from functools import partial

import libcst as cst

from crossentropy.doctor._convert._edits import Edit, Proposal, Refused, attempt
from crossentropy.doctor._convert._flow import Objects
from crossentropy.doctor._convert._losses import Loss, losses, setting, settings, with_setting
from crossentropy.doctor._convert._script import Script

_RULE = "kl-div-reduction"
_NAMES = ("torch.nn.functional.kl_div", "torch.nn.KLDivLoss")
_EFFECT = (
    "the loss changes: the divergence of a row, averaged over rows, where the mean was over all entries: "
    "as many times larger as there are classes, for two axes"
)


def propose(script: Script, objects: Objects) -> Iterator[Proposal | Refused]:
    """The rewrites of all divergences with another mean than that over rows."""
    for loss in losses(script, objects, *_NAMES):
        yield from attempt(partial(_proposal, script, loss), _RULE, loss.made)


def _proposal(script: Script, loss: Loss) -> Proposal | None:
    if {"size_average", "reduce"} & settings(script, loss).keys():
        return None  # _reductions comes first
    reduction = setting(script, loss, "reduction", "mean")
    if reduction == "mean":
        return Proposal(loss.made, _RULE, _EFFECT, (with_setting(script, loss, "reduction", "batchmean"),), False)
    averages: list[Edit | None] = [_average(script, call) for call in loss.calls]
    if reduction != "none" or not averages or not all(averages) or loss.problems:
        return None
    edits = [edit for edit in averages if edit is not None]
    whole = (with_setting(script, loss, "reduction", "batchmean"), *edits)
    return Proposal(loss.made, _RULE, _EFFECT, whole, False)


def _average(script: Script, call: cst.Call) -> Edit | None:
    """The edit that takes the mean of all entries away, if that is what follows a call."""
    found = script.method_call(call)
    if found is None or found[0] != "mean" or found[1].args:
        return None
    return Edit(script.span(call)[1], script.span(found[1])[1])
