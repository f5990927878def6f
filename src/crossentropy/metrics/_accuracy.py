"""How often the label is the most likely class, or among the k most likely.

    accuracy = Σ t [argmax z = y] / Σ t        top-k = Σ t [#{c : z_c ≥ z_y} ≤ k] / Σ t

Equal logits: `Accuracy` counts what argmax predicts, the first of equal ones. Which of equal classes is among the k
nobody says; `TopKAccuracy` counts y only if it is whichever way they are ordered. So a model that gives all classes the
same logit has no accuracy of 1. In half precision equal logits are common.
"""

from typing import Any

import torch
from torch import Tensor

from crossentropy import functional as F
from crossentropy._errors import ArgumentValueError
from crossentropy._keywords import hinting
from crossentropy._targets import long
from crossentropy.metrics._mean import RowMean, labels_of, logits_of, weight_of


class Accuracy(RowMean):
    """Share of a corpus whose label is the class that argmax predicts.

        Σ t [argmax z = y] / Σ t

    Of equal logits argmax predicts the first.

    `update(input, target, *, token_weight=None, linear_weight=None, linear_bias=None)`: logits (…, C) or, with a head,
    hidden states (…, D); class indices (…); weights (…) of rows.

    Args:
        ignore_index: A target value whose rows do not count.
        kwargs: Settings of torchmetrics.Metric.

    Raises:
        ValueError, TypeError, IndexError: In `update`, as `crossentropy.functional.token_statistics`.

    Examples:
        >>> import torch
        >>> accuracy = Accuracy()
        >>> accuracy.update(torch.tensor([[2.0, 1.0], [0.0, 3.0], [0.0, 0.0]]), torch.tensor([0, 0, 0]))
        >>> accuracy.compute()
        tensor(0.6667, dtype=torch.float64)

    See Also:
        `TopKAccuracy`; `ExpectedCalibrationError`, whether the model knows how often it is right.

    References:
        torchmetrics.Accuracy.
    """

    higher_is_better: bool | None = True

    def __init__(self, *, ignore_index: int = -100, **kwargs: Any) -> None:  # noqa: ANN401 (torchmetrics')
        super().__init__("correct", ignore_index, **kwargs)

    @hinting
    @torch.no_grad()
    def update(
        self,
        input: Tensor,
        target: Tensor,
        *,
        token_weight: Tensor | None = None,
        linear_weight: Tensor | None = None,
        linear_bias: Tensor | None = None,
    ) -> None:
        """Add rows of logits, or of hidden states under a head, with their labels."""
        logits = logits_of(input, linear_weight, linear_bias)
        statistics = F.token_statistics(logits, target, ignore_index=self.ignore_index)
        assert statistics.log_prob is not None
        correct = (statistics.argmax == long(target)).double().masked_fill(statistics.log_prob.isnan(), torch.nan)
        self._add(correct, weight_of(target, token_weight, self.ignore_index))

    def compute(self) -> Tensor:
        """Σ t [argmax z = y] / Σ t, float64."""
        return self._mean()


class TopKAccuracy(RowMean):
    """Share of a corpus whose label is among the k classes of the largest logits.

        Σ t [#{c : z_c ≥ z_y} ≤ k] / Σ t

    A label whose logit equals others' counts if it is among the k in whatever order these are put. So with k = 1 a tie
    for the largest logit is no hit, where `Accuracy` takes the first.

    `update(input, target, *, token_weight=None, linear_weight=None, linear_bias=None)`, as for `Accuracy`.

    Args:
        k: How many classes.
        ignore_index: A target value whose rows do not count.
        kwargs: Settings of torchmetrics.Metric.

    Raises:
        ValueError: `k` is no whole number ≥ 1; in `update`, there are fewer classes.
        ValueError, TypeError, IndexError: In `update`, as `crossentropy.functional.token_statistics`.

    Examples:
        >>> import torch
        >>> accuracy = TopKAccuracy(2)
        >>> accuracy.update(torch.tensor([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]]), torch.tensor([1, 2]))
        >>> accuracy.compute()
        tensor(0.5000, dtype=torch.float64)

    See Also:
        `Accuracy`.

    References:
        O. Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, 2015; torchmetrics.Accuracy(top_k=…).
    """

    higher_is_better: bool | None = True

    def __init__(self, k: int, *, ignore_index: int = -100, **kwargs: Any) -> None:  # noqa: ANN401 (torchmetrics')
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise ArgumentValueError(f"k is {k!r}, expected a whole number ≥ 1")
        super().__init__(f"correct_of_{k}", ignore_index, **kwargs)
        self.k = k

    @hinting
    @torch.no_grad()
    def update(
        self,
        input: Tensor,
        target: Tensor,
        *,
        token_weight: Tensor | None = None,
        linear_weight: Tensor | None = None,
        linear_bias: Tensor | None = None,
    ) -> None:
        """Add rows of logits, or of hidden states under a head, with their labels."""
        logits = logits_of(input, linear_weight, linear_bias)
        labels, classes = labels_of(target, logits, self.ignore_index), logits.shape[-1]
        if self.k > classes:
            raise ArgumentValueError(f"k is {self.k}, expected at most {classes}: there are no more classes")
        # one more, which those that count are above
        values, found = logits.topk(min(self.k + 1, classes), -1)
        hit = found == labels.unsqueeze(-1)
        if self.k < classes:
            hit &= values > values[..., self.k :]
        unknown = ~values[..., 0].isfinite() | (labels < 0) | (labels >= classes)
        correct = hit.any(-1).double().masked_fill(unknown, torch.nan)
        self._add(correct, weight_of(labels, token_weight, self.ignore_index))

    def compute(self) -> Tensor:
        """Σ t [#{c : z_c ≥ z_y} ≤ k] / Σ t, float64."""
        return self._mean()
