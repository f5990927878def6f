"""Whether a model is right as often as it says: expected calibration error, and the diagram of it.

    p = max softmax(z)     bin b = ⌈p B⌉     ECE = Σ_b (w_b / Σ w) |accuracy_b − confidence_b|

B bins of equal width on (0, 1], each with its upper edge, to the rounding of p · w_b = Σ t of the rows in bin b ·
accuracy_b how often argmax is right there · confidence_b the mean of p there.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric

from crossentropy import _contract as contract
from crossentropy import _torch
from crossentropy import functional as F
from crossentropy._errors import ArgumentValueError
from crossentropy._keywords import hinting
from crossentropy._targets import long
from crossentropy._usage import installation
from crossentropy.metrics._mean import keeping_dtype, logits_of, weight_of, weighted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Reliability(NamedTuple):
    """What there is in each bin of confidence; see `ExpectedCalibrationError`. Each field is (bins), float64."""

    confidence: Tensor
    """Mean of the largest probability; nan in an empty bin."""
    accuracy: Tensor
    """How often the most likely class is the label; nan in an empty bin."""
    weight: Tensor
    """Σ t of the rows."""


class ExpectedCalibrationError(Metric):
    """Expected calibration error of a corpus: how far confidence and accuracy are apart.

        Σ_b (w_b / Σ w) |accuracy_b − confidence_b|

    Rows are put into bins by p, the largest probability; bin b holds (b − 1)/B < p ≤ b/B. A calibrated model that says
    80 % is right in 80 % of these cases. The error depends on the bins, and of few rows it is too large by chance:
    compare what has as many of both.

    `update(input, target, *, token_weight=None, linear_weight=None, linear_bias=None)`: logits (…, C) or, with a head,
    hidden states (…, D); class indices (…); weights (…) of rows. `plot()` draws the reliability diagram;
    `reliability()` gives its numbers.

    Args:
        bins: How many bins.
        ignore_index: A target value whose rows do not count.
        kwargs: Settings of torchmetrics.Metric.

    Raises:
        ValueError: `bins` is no whole number ≥ 1.
        ValueError, TypeError, IndexError: In `update`, as `crossentropy.functional.token_statistics`.

    Examples:
        >>> import torch
        >>> error = ExpectedCalibrationError()
        >>> error.update(torch.tensor([[0.8, 0.2], [0.8, 0.2]]).log(), torch.tensor([0, 1]))  # right in one
        >>> error.compute().round(decimals=4)
        tensor(0.3000, dtype=torch.float64)

    See Also:
        `TemperatureScaling`, which mends it.

    References:
        M. Naeini, G. Cooper, M. Hauskrecht, Obtaining Well Calibrated Probabilities Using Bayesian Binning, 2015;
        C. Guo et al., On Calibration of Modern Neural Networks, 2017.
    """

    is_differentiable: bool | None = False
    higher_is_better: bool | None = False
    full_state_update: bool | None = False

    def __init__(self, bins: int = 15, *, ignore_index: int = -100, **kwargs: Any) -> None:  # noqa: ANN401
        if isinstance(bins, bool) or not isinstance(bins, int) or bins < 1:
            raise ArgumentValueError(f"bins is {bins!r}, expected a whole number ≥ 1")
        super().__init__(**kwargs)
        self.bins = bins
        self.ignore_index: int = contract.label_to_ignore(ignore_index)
        self.confident: Tensor
        self.right: Tensor
        self.weight: Tensor
        for state in ("confident", "right", "weight"):
            self.add_state(state, torch.zeros(bins, dtype=torch.float64), dist_reduce_fx="sum")

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
        known, _, _, top = F.token_statistics(logits, target, ignore_index=self.ignore_index)
        largest = F.token_statistics(logits, top).log_prob
        assert known is not None
        assert largest is not None
        p = largest.double().exp().masked_fill(known.isnan(), torch.nan)  # nan of a label is nan of its row
        bin = _bin(p, self.bins, torch.finfo(largest.dtype).eps)
        weight = weight_of(target, token_weight, self.ignore_index)
        self.confident = self._with(self.confident, bin, weighted(p, weight))
        self.right = self._with(self.right, bin, weighted(top == long(target), weight))
        self.weight = self._with(self.weight, bin, weight)

    def _with(self, sums: Tensor, bin: Tensor, rows: Tensor) -> Tensor:
        """Sums of bins, and rows added to them."""
        return sums + torch.zeros_like(sums).index_add_(0, bin, rows.flatten())

    def compute(self) -> Tensor:
        """Σ_b (w_b / Σ w) abs(accuracy_b − confidence_b), float64."""
        return (self.right - self.confident).abs().sum() / self.weight.sum()

    def reliability(self) -> Reliability:
        """What there is in each bin, of all processes: where there are several, all must ask."""
        with self.sync_context(dist_sync_fn=self.dist_sync_fn, should_sync=self._to_sync and not self._is_synced):
            return Reliability(self.confident / self.weight, self.right / self.weight, self.weight.clone())

    def plot(self, val: Any = None, ax: "Axes | None" = None) -> "tuple[Figure, Axes]":  # noqa: ANN401
        """Draw the reliability diagram: accuracy over confidence, and the share of rows in each bin.

        Args:
            val: Values of the error, one or one for each of several steps: these are drawn instead, as torchmetrics
                draws those of any metric (MetricCollection.plot gives them).
            ax: Axes to draw on; new ones by default.

        Returns:
            The figure and its axes, as torchmetrics' plot gives them.

        Raises:
            ImportError: matplotlib is missing.
        """
        try:
            from matplotlib.figure import Figure
        except ImportError as error:
            raise ImportError(f"plot() needs matplotlib: {installation('plot')}") from error
        if val is not None:
            return self._plot(val, ax)  # pyright: ignore[reportReturnType]
        if ax is None:
            ax = Figure(figsize=(4.5, 4.5), layout="constrained").add_subplot()
        found = self.reliability()
        share = found.weight / found.weight.sum()
        error = float((share * (found.accuracy - found.confidence).abs()).nansum())
        left, width = (torch.arange(self.bins) / self.bins).tolist(), 1 / self.bins
        heights = found.accuracy.nan_to_num(0).tolist()
        ax.bar(left, heights, width, align="edge", color="tab:blue", edgecolor="w", label="accuracy")
        ax.bar(left, share.nan_to_num(0).tolist(), width, align="edge", color="0.6", alpha=0.5, label="share of rows")
        ax.plot([0, 1], [0, 1], "--", color="0.4", linewidth=1)
        means = (found.confidence.tolist(), found.accuracy.tolist())
        ax.plot(*means, "o", color="tab:red", markersize=3, label="mean confidence")
        ax.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="accuracy", title=f"ECE {error:.3f}")
        ax.legend(loc="upper left")
        figure = ax.get_figure(root=True)
        assert figure is not None
        return figure, ax

    def _apply(self, fn: "Callable[[Tensor], Tensor]", exclude_state: "Sequence[str]" = "") -> torch.nn.Module:
        return _torch.apply_to_all(super(), keeping_dtype(fn), exclude_state)


def _bin(p: Tensor, bins: int, eps: float) -> Tensor:
    """The bin of each p, from 0, flat: ⌈p B⌉ − 1, where p is rounded to an edge that it cannot be told from.

    p is exp(log p), and log p is rounded, as the lse of which it is made: log p is wrong by few ulps of 1 + |log p|,
    and p by as much relatively. Of 1/8 that leaves 0.12500000000000003, which is above the edge of 5/40.
    """
    places = p * bins
    edge = places.round()
    near = (places - edge).abs() <= 4 * eps * (1 - p.log()) * places
    return torch.where(near, edge, places.ceil()).nan_to_num(1).long().clamp(1, bins).flatten() - 1
