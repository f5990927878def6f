"""What all metrics are: weighted means over rows, whose numerators and denominators are summed in float64.

    total = Σ t v     weight = Σ t u     over rows, batches and processes;  a metric is a function of total / weight

v value of a row · t token_weight · u what the row counts, 1 but for bits per byte and character. An ignored row, and
one of weight 0, is masked, not multiplied.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from crossentropy import _contract as contract
from crossentropy import _torch
from crossentropy._errors import ArgumentTypeError, ArgumentValueError
from crossentropy._sharding import is_distributed
from crossentropy._targets import check_labels, check_target, long
from crossentropy._tensors import check_floating, check_statistics_head, check_token_weight
from crossentropy.lazy import LazyLogits


class RowMean(Metric):
    """A mean over rows of a corpus; `name` is that of its sum of values."""

    is_differentiable: bool | None = False
    full_state_update: bool | None = False  # a batch's sums add up: forward needs one update

    def __init__(self, name: str, ignore_index: int, **kwargs: Any) -> None:  # noqa: ANN401 (torchmetrics')
        super().__init__(**kwargs)
        self.ignore_index: int = contract.label_to_ignore(ignore_index)
        self._total: str = name
        for state in (name, f"weight_of_{name}"):
            self.add_state(state, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def _add(self, value: Tensor, weight: Tensor, counted: Tensor | None = None) -> None:
        """Add rows of a value, each with its weight; and what they count, where that is not the weight."""
        rows = {
            self._total: weighted(value, weight),
            f"weight_of_{self._total}": weight if counted is None else counted,
        }
        for state, numbers in rows.items():
            setattr(self, state, getattr(self, state) + numbers.sum())

    def _mean(self) -> Tensor:
        return getattr(self, self._total) / getattr(self, f"weight_of_{self._total}")

    def plot(self, val: Any = None, ax: Any = None) -> Any:  # noqa: ANN401 (torchmetrics')
        """Draw a value, or one for each of several steps, as torchmetrics does; that of `compute` by default."""
        return self._plot(val, ax)

    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Sequence[str] = "") -> torch.nn.Module:
        """Move to a device, but stay in float64: a model's .to(torch.bfloat16) reaches the metrics it holds."""
        return _torch.apply_to_all(super(), keeping_dtype(fn), exclude_state)


def keeping_dtype(fn: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """A function of tensors that changes no dtype."""

    def moved(x: Tensor) -> Tensor:
        y = fn(x)
        return y if y.dtype == x.dtype else x.to(y.device)

    return moved


def weighted(value: Tensor, weight: Tensor) -> Tensor:
    """The product t v in float64, 0 where t is 0."""
    return torch.where(weight != 0, value.double(), 0.0) * weight


def logits_of(input: Tensor, linear_weight: Tensor | None, linear_bias: Tensor | None) -> Tensor:
    """Logits, lazy ones of hidden states and a head; without a gradient."""
    check_floating("input", input)
    if linear_weight is not None:
        check_statistics_head(input, linear_weight, linear_bias, -1)
        input = LazyLogits(input, linear_weight, linear_bias)
    elif linear_bias is not None:
        raise ArgumentValueError("linear_bias is given and linear_weight is not: pass the head too")
    part = getattr(getattr(input, "_expression", None), "part", None)
    if is_distributed(input) or part is not None:
        raise ArgumentTypeError(
            "input is spread over ranks, expected all classes of each row: pass input.full_tensor() of a DTensor; or "
            "gather log-probabilities of crossentropy.distributed.vocab_parallel_token_statistics"
        )
    if not input.dim():
        raise ArgumentValueError("input has no axes, expected logits (…, C)")
    return input.detach()


def labels_of(target: Tensor, logits: Tensor, ignore_index: int) -> Tensor:
    """Class indices, checked as a loss does: those of all rows of logits (…, C)."""
    labels, _ = check_target(logits.shape, logits.dim() - 1, target, probabilities_allowed=False)
    dtype, labels = labels.dtype, long(labels)
    check_labels(labels, logits.shape[-1], ignore_index, dtype=dtype)
    return labels


def weight_of(target: Tensor, token_weight: Tensor | None, ignore_index: int) -> Tensor:
    """Weights t in float64, in the rows' shape: 0 where a row does not count."""
    check_token_weight(token_weight, target.shape)
    weight = torch.ones_like(target, dtype=torch.float64) if token_weight is None else token_weight.detach().double()
    return torch.where(long(target) != ignore_index, weight, 0.0)  # −100 is 156 in uint8, a class
