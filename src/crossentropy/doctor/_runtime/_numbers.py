"""What the numbers of a call tell: its loss, what it would be without the mistake, and how rows sum up."""

import math

import torch
from torch import Tensor
from torch.nn.functional import (  # by these names a program may have put others in their place
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    nll_loss,
)

from crossentropy.doctor._runtime._call import Call, class_axis, ignored_label, num_classes


class Measured:
    """The numbers of one call, in words; computed when they are asked for."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def loss(self) -> str:
        """What it is, and what it would be on the logits."""
        call = self._call
        if call.name:  # of which no other loss tells
            return ""
        if call.loss == "nll_loss":
            return f"the loss is {_nll(call):.4g}"
        if call.loss == "cross_entropy":
            value, right = _cross_entropy(call, call.x.double()), _cross_entropy(call, call.x.double().log())
        else:
            y = call.y.double().expand_as(call.x)
            value = _mean(binary_cross_entropy_with_logits(call.x.double(), y))
            right = _mean(binary_cross_entropy(call.x.double().clamp(0, 1), y.clamp(0, 1)))
        # scores that are no probabilities of one row have no such logits
        logits = f"; on the logits it would be {right:.4g}" if math.isfinite(right) else ""
        return f"the loss is {value:.4g}{logits}"

    def gradient(self) -> str:
        """How much smaller it is than on the logits."""
        return "" if self._call.name else f", and its gradient is {_shrinkage(self._call):.2g}× smaller"

    def zeros(self) -> str:
        """How many logits are 0."""
        return f"{float((self._call.x == 0).double().mean()):.0%} of the logits are 0 and have no gradient"

    def row_sums(self) -> str:
        """What rows of probabilities sum to, along the axis that the loss reads."""
        sums = self._call.x.double().exp().sum(class_axis(self._call))
        return f"{float(sums.min()):.3g} … {float(sums.max()):.3g}"

    def outside(self) -> str:
        """A number that is no probability; empty if there is none."""
        x = self._call.x
        outside = (x < 0) | (x > 1)
        return f"{float(x[outside].flatten()[0]):.4g} is no probability" if bool(outside.any()) else ""

    def ones(self) -> str:
        """How many ones a row of the target has on average."""
        call = self._call
        ones = ones_per_row(call.y, class_axis(call))
        return "" if ones is None else f"{ones:.3g} a row on average"

    def target_sums(self) -> str:
        """What rows of the target sum to, and whether it has negative entries."""
        call = self._call
        sums = call.y.double().sum(class_axis(call))
        negative = ", with negative entries" if bool((call.y < 0).any()) else ""
        return f"rows that sum to {float(sums.min()):.4g} … {float(sums.max()):.4g}{negative}"

    def padding(self, label: int) -> str:
        """How many labels are padding, and what the loss would be if it did not count."""
        call, axis = self._call, class_axis(self._call)
        share = f"{float((call.y == label).double().mean()):.0%} of the labels"
        rows = (*call.x.shape[:axis], *call.x.shape[axis + 1 :])
        if call.loss == "linear_cross_entropy" or tuple(call.y.shape) != rows:
            return share
        loss = nll_loss if call.loss == "nll_loss" else cross_entropy
        value = loss(call.x.double(), call.y.long().where(call.y != label, -100), ignore_index=-100)
        return f"{share}, without which the loss would be {float(value):.4g}"

    def ruled_out(self) -> str:
        """In how many rows the logit of the true class is −inf."""
        call, axis = self._call, class_axis(self._call)
        counted = (call.y != ignored_label(call)) & (call.y >= 0) & (call.y < num_classes(call))
        true = call.x.gather(axis, call.y.where(counted, 0).long().unsqueeze(axis)).squeeze(axis)
        return f"in {int((counted & (true == -torch.inf)).sum())} of {call.y.numel()} rows"


def _mean(loss: Tensor) -> float:
    return float(loss.double().mean())


def _cross_entropy(call: Call, z: Tensor) -> float:
    """The mean loss of other logits against the same target; nan where there is none."""
    target = call.y.double() if call.y.is_floating_point() else call.y.long()
    try:
        return _mean(cross_entropy(z, target, ignore_index=ignored_label(call)))
    except (RuntimeError, IndexError, ValueError, TypeError):
        return math.nan


def _nll(call: Call) -> float:
    try:
        return _mean(nll_loss(call.x.double(), call.y.long(), ignore_index=ignored_label(call)))
    except (RuntimeError, IndexError, ValueError):
        return math.nan


def _shrinkage(call: Call) -> float:
    """How many times smaller the gradient is than that on the logits z = log q, by its norm."""
    if call.y.is_floating_point() or call.x.numel() == 0:
        return float(num_classes(call))
    axis, y = class_axis(call), call.y.long()
    rows = (*call.x.shape[:axis], *call.x.shape[axis + 1 :])
    counted = (y != ignored_label(call)) & (y >= 0) & (y < num_classes(call))
    if y.shape != rows:
        return float(num_classes(call))
    q = call.x.detach().double()
    true = torch.zeros_like(q).scatter(axis, y.where(counted, 0).unsqueeze(axis), 1.0)
    q, true = q * counted.unsqueeze(axis), true * counted.unsqueeze(axis)
    second = q.softmax(axis) * counted.unsqueeze(axis) - true
    once, twice = (q - true).norm(), (q * (second - (q * second).sum(axis, keepdim=True))).norm()
    return float(once / twice) if twice > 0 else math.inf


def looks_like_probabilities(x: Tensor, axis: int) -> bool:
    """Whether rows sum to 1 and no number is negative; one-hot rows are labels."""
    if not x.dim() or x.shape[axis] < 2 or x.numel() == 0 or not x.is_floating_point():
        return False
    if not bool((x >= 0).all()) or not bool(((x.double().sum(axis) - 1).abs() < 1e-3).all()):
        return False
    return ones_per_row(x, axis) is None


def ones_per_row(y: Tensor, axis: int) -> float | None:
    """How many ones a row has on average, if all entries are 0 or 1; None if not."""
    if y.numel() == 0 or not bool(((y == 0) | (y == 1)).all()):
        return None
    counts = y.double().sum(axis)
    return 1.0 if bool((counts == 1).all()) else float(counts.mean())
