"""All that is checked of one call of a loss."""

import torch
from torch import Tensor

from crossentropy.doctor._knowledge import _checks
from crossentropy.doctor._knowledge._loss_call import Found
from crossentropy.doctor._knowledge._targets import deprecated
from crossentropy.doctor._runtime._call import Call
from crossentropy.doctor._runtime._facts import facts
from crossentropy.doctor._runtime._history import History


def check(call: Call, history: History) -> list[Found]:
    """Everything that is wrong with a call, as far as it shows now."""
    if not isinstance(call.arguments.get("input"), Tensor) or not isinstance(call.arguments.get("target"), Tensor):
        return []
    with torch.no_grad():
        remembered = history.remembered(call)
        found = list(_checks.check(facts(call, remembered)))
        return [*history.told(call, remembered, found), *deprecated(call.arguments), *history.check(call)]
