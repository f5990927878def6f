"""All that is checked of one call of a loss."""

from collections.abc import Callable, Iterator
from typing import TypeAlias

import torch
from torch import Tensor

from crossentropy.doctor._knowledge._checks import check_input
from crossentropy.doctor._knowledge._inputs import cut
from crossentropy.doctor._knowledge._loss_call import Found
from crossentropy.doctor._runtime import _targets
from crossentropy.doctor._runtime._call import Call
from crossentropy.doctor._runtime._facts import facts

Check: TypeAlias = Callable[[Call], Iterator[Found]]


def check(call: Call) -> list[Found]:
    """Everything that is wrong with a call; of what a swap explains, the swap alone."""
    if not isinstance(call.arguments.get("input"), Tensor) or not isinstance(call.arguments.get("target"), Tensor):
        return []
    swapped = list(_targets.swapped(call))
    if swapped:
        return swapped
    with torch.no_grad():
        case = facts(call)
        found = [found for function in _TARGETS[call.loss] for found in function(call)]
        return [*check_input(case), *found, *cut(case)]


_CLASSES: tuple[Check, ...] = (
    _targets.shapes,
    _targets.moved_axis,
    _targets.labels,
    _targets.weights,
    _targets.deprecated,
)
_BINARY: tuple[Check, ...] = (_targets.binary_target, _targets.binary_weights, _targets.deprecated)
_TARGETS: dict[str, tuple[Check, ...]] = {
    "cross_entropy": (*_CLASSES, _targets.soft, _targets.smoothing),
    "linear_cross_entropy": (_targets.labels, _targets.weights, _targets.smoothing),
    "nll_loss": _CLASSES,
    "binary_cross_entropy": _BINARY,
    "binary_cross_entropy_with_logits": _BINARY,
    "kl_div": (_targets.deprecated,),
    "mse_loss": (_targets.deprecated,),
}
LOSSES = frozenset(_TARGETS)
