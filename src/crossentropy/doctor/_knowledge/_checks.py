"""All that is checked of one call of a loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from crossentropy.doctor._knowledge import _inputs, _targets
from crossentropy.doctor._knowledge._loss_call import ALIKE, OF_TEACHERS, Found, LossCall

Check: TypeAlias = Callable[[LossCall], Iterator[Found]]

_CLASSES: tuple[Check, ...] = (
    _targets.shapes,
    _targets.axes,
    _targets.labels,
    _targets.masked,
    _targets.padding,
    _targets.shift,
    _targets.weights,
    _targets.ignored,
)
_HEAD: tuple[Check, ...] = (
    _targets.labels,
    _targets.padding,
    _targets.shift,
    _targets.weights,
    _targets.ignored,
    _targets.smoothing,
)
INPUT: dict[str, Check] = {
    "cross_entropy": _inputs.activation, "nll_loss": _inputs.nll, "binary_cross_entropy": _inputs.binary,
    "binary_cross_entropy_with_logits": _inputs.binary, "kl_div": _inputs.divergence, "mse_loss": _inputs.squared,
    **dict.fromkeys(OF_TEACHERS, _inputs.of_student),
}  # fmt: skip
"""What is checked of the input, by the name of the loss."""
_TARGET: dict[str, tuple[Check, ...]] = {
    "cross_entropy": (*_CLASSES, _targets.soft, _targets.smoothing), "nll_loss": _CLASSES,
    "binary_cross_entropy": (_targets.binary, _targets.binary_weights),
    "binary_cross_entropy_with_logits": (_targets.binary, _targets.binary_weights), "linear_cross_entropy": _HEAD,
}  # fmt: skip
"""What is checked of the target, the shapes and the settings."""
LOSSES = frozenset([*INPUT, *_TARGET, *ALIKE])
"""The losses of which anything is checked."""
_SYMMETRIC = ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")
"""Losses whose arguments may change places."""


def check(case: LossCall) -> Iterator[Found]:
    """Everything that is wrong with a call; of what a swap explains, the swap alone."""
    swapped = [] if case.loss in (*_SYMMETRIC, *OF_TEACHERS) else list(_targets.swapped(case))
    if swapped:
        yield from swapped
    else:
        yield from check_input(case)
        for target in _TARGET.get(case.loss, ()):
            yield from target(case)
    yield from _inputs.cut(case)


def check_input(case: LossCall) -> Iterator[Found]:
    """What is wrong with the input alone."""
    if case.loss in INPUT:
        yield from INPUT[case.loss](case)
