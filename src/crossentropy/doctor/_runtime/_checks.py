"""All that is checked of one call of a loss."""

import torch
from torch import Tensor

from crossentropy.doctor._runtime import _inputs, _targets
from crossentropy.doctor._runtime._call import Call, Check, Found


def check(call: Call) -> list[Found]:
    """Everything that is wrong with a call; of what a swap explains, the swap alone."""
    if not isinstance(call.arguments.get("input"), Tensor) or not isinstance(call.arguments.get("target"), Tensor):
        return []
    swapped = list(_targets.swapped(call))
    if swapped:
        return swapped
    with torch.no_grad():
        return [found for function in _CHECKS[call.loss] for found in function(call)]


_CLASSES: tuple[Check, ...] = (
    _targets.shapes,
    _targets.moved_axis,
    _targets.labels,
    _targets.weights,
    _targets.deprecated,
    _inputs.cut_graph,
)
_CHECKS: dict[str, tuple[Check, ...]] = {
    "cross_entropy": (_inputs.activation, *_CLASSES, _targets.soft, _targets.smoothing),
    "linear_cross_entropy": (_targets.labels, _targets.weights, _targets.smoothing),
    "nll_loss": (_inputs.nll_input, *_CLASSES),
    "binary_cross_entropy": (
        _inputs.binary_input,
        _targets.binary_target,
        _targets.binary_weights,
        _targets.deprecated,
        _inputs.cut_graph,
    ),
    "binary_cross_entropy_with_logits": (
        _inputs.binary_input,
        _targets.binary_target,
        _targets.binary_weights,
        _targets.deprecated,
        _inputs.cut_graph,
    ),
    "kl_div": (_inputs.divergence, _targets.deprecated),
    "mse_loss": (_inputs.squared, _targets.deprecated),
}
LOSSES = frozenset(_CHECKS)
