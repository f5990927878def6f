"""Temperature scaling: one number that calibrates a classifier, and changes none of its predictions but by ties.

    T = argmin Σ t ℓ(z / T, y) / Σ t        d mean ℓ / d log β = mean ℓ − mean H,   β = 1/T

ℓ = −log softmax(βz)_y · H entropy of softmax(βz). At the optimum the loss is what the model expects it to be: its
entropy. The loss is convex in β: one optimum, which is where the slope changes its sign. It is infinite (T = 0) where
each label has its row's largest logit, and zero (T = ∞) where the logits of labels are no larger than the others, on
average.

The gradient is that of statistics, β d/dβ: −H = Σ p log p = Σ p βz − lse and ℓ = lse − βz_y, whose sum is β (Σ p z −
z_y).
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from crossentropy import _contract as contract
from crossentropy import _torch
from crossentropy import functional as F
from crossentropy._errors import ArgumentValueError
from crossentropy._keywords import hinting
from crossentropy._tensors import check_floating
from crossentropy.metrics._calibration import ExpectedCalibrationError
from crossentropy.metrics._mean import keeping_dtype, labels_of, logits_of, weight_of, weighted

_SETTLED = 0.01
"""This far on either side of the log T that was found the slope has different signs, or it was not found."""
_FARTHEST = 80.0
"""e^80 times a logit is finite in float32, up to logits of 6,000."""


@dataclass(frozen=True)
class Calibration:
    """What temperature scaling did to the rows that it was fitted to."""

    temperature: float
    nll_before: float
    """Mean −log p of the labels, in nats, at T = 1."""
    nll_after: float
    """The same at the temperature; never larger."""
    ece_before: float
    """Expected calibration error at T = 1."""
    ece_after: float

    def to_dict(self) -> dict[str, float]:
        """The fields by name, as JSON can hold them."""
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"T = {self.temperature:.4g}: nll {self.nll_before:.4f} → {self.nll_after:.4f}, "
            f"ECE {self.ece_before:.4f} → {self.ece_after:.4f}"
        )


class TemperatureScaling(torch.nn.Module):
    """Divide logits by a temperature that was fitted to held-out ones.

        softmax(z / T),   T = argmin Σ t ℓ(z / T, y)

    Modern classifiers are too confident; one number mends most of that. The order of the classes stays, and so do
    predictions and accuracy, but for ties: in half precision two logits that are next to each other may be rounded to
    one, of which argmax takes the first class; scale `input.float()` where that matters. `fit` looks for log T by
    LBFGS; the loss is convex in 1/T, so that there is one optimum. Fit to rows that the model was not trained on: of
    those it knows the labels, and T comes out too small.

    Args:
        temperature: T > 0 to begin with; what `fit` finds replaces it, and is part of the state_dict.

    Raises:
        ValueError: The temperature is no number > 0.

    Examples:
        >>> import torch
        >>> logits, target = torch.tensor([[4.0, 0.0]]).repeat(4, 1), torch.tensor([0, 0, 0, 1])
        >>> scaling = TemperatureScaling()
        >>> print(scaling.fit(logits, target))  # right in three of four cases, not in 98 %
        T = 3.641: nll 1.0181 → 0.5623, ECE 0.2320 → 0.0000
        >>> scaling(logits).softmax(-1)[0]
        tensor([0.7500, 0.2500])

    See Also:
        `ExpectedCalibrationError`.

    References:
        C. Guo, G. Pleiss, Y. Sun, K. Weinberger, On Calibration of Modern Neural Networks, 2017.
    """

    log_temperature: Tensor

    @hinting
    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        value = contract.number("temperature", temperature, low=0.0, above=True)
        self.register_buffer("log_temperature", torch.tensor(value, dtype=torch.float64).log())

    @property
    def temperature(self) -> float:
        """T."""
        return float(self.log_temperature.exp())

    def forward(self, input: Tensor) -> Tensor:
        """Logits / T, in their dtype; lazy logits stay lazy."""
        return check_floating("input", input) * torch.exp(-self.log_temperature).to(input.device)

    def extra_repr(self) -> str:
        """The temperature."""
        return f"temperature={self.temperature:.4g}"

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "TemperatureScaling":
        """Move to a device; T keeps its digits where a model becomes bfloat16."""
        return _torch.apply_to_all(super(), keeping_dtype(fn), recurse)

    @hinting
    @torch.no_grad()
    def fit(
        self,
        input: Tensor,
        target: Tensor,
        *,
        ignore_index: int = -100,
        token_weight: Tensor | None = None,
        linear_weight: Tensor | None = None,
        linear_bias: Tensor | None = None,
        bins: int = 15,
    ) -> Calibration:
        """Find T.

        Args:
            input: Held-out logits (…, C), not scaled; or, with a head, hidden states (…, D). Dense ones in float64.
            target: Class indices (…).
            ignore_index: A target value whose rows do not count.
            token_weight: Weight of each row (…). Default: 1.
            linear_weight: Head (C, D); without it `input` holds logits.
            linear_bias: Bias (C). Default: none.
            bins: Those of the calibration error.

        Returns:
            `Calibration`: T, and loss and calibration error before and after.

        Raises:
            ValueError: No row counts; the loss is not finite; or there is no best T > 0, for the labels' logits are the
                largest in all rows (T → 0), or no larger than the others on average (T → ∞), or all logits of a row are
                equal (any T). T stays what it was.
            TypeError, IndexError: As `crossentropy.functional.token_statistics`.
        """
        logits = logits_of(input, linear_weight, linear_bias)
        if type(logits) is Tensor:
            logits = logits.double()
        labels = labels_of(target, logits, ignore_index)
        weight = weight_of(labels, token_weight, ignore_index)
        if not bool((weight != 0).any()):
            raise ArgumentValueError(f"no row counts: all {labels.numel()} are ignored or have token_weight 0")
        problem = _Problem(logits, labels, weight, ignore_index)
        before, _ = problem.at(torch.zeros(()))
        log_scale = problem.solve()
        after, _ = problem.at(log_scale)
        errors = []
        for scale in (1.0, float(log_scale.exp())):
            error = ExpectedCalibrationError(bins, ignore_index=ignore_index).to(logits.device)
            error.update(logits * scale, labels, token_weight=token_weight)
            errors.append(float(error.compute()))
        self.log_temperature.copy_(-log_scale)
        return Calibration(self.temperature, float(before), float(after), *errors)


class _Problem:
    """The mean loss of rows as a function of log β."""

    def __init__(self, logits: Tensor, labels: Tensor, weight: Tensor, ignore_index: int) -> None:
        self.logits, self.labels, self.ignore_index = logits, labels, ignore_index
        self.weight = weight / weight.sum()

    def at(self, log_scale: Tensor) -> tuple[Tensor, Tensor]:
        """The loss, and its slope."""
        scaled = self.logits * math.exp(min(max(float(log_scale), -_FARTHEST), _FARTHEST))
        statistics = F.token_statistics(scaled, self.labels, ignore_index=self.ignore_index)
        assert statistics.log_prob is not None
        nll = weighted(-statistics.log_prob, self.weight)
        return nll.sum(), (nll - weighted(statistics.entropy, self.weight)).sum()

    def solve(self) -> Tensor:
        """Where the slope is 0."""
        self._check()
        log_scale = torch.zeros((), dtype=torch.float64)
        search = torch.optim.LBFGS(
            [log_scale], max_iter=200, tolerance_grad=1e-10, tolerance_change=1e-12, line_search_fn="strong_wolfe"
        )

        def closure() -> float:
            loss, slope = self.at(log_scale)
            log_scale.grad = slope.to(log_scale)
            return float(loss)

        search.step(closure)
        below, above = (float(self.at(log_scale + step)[1]) for step in (-_SETTLED, _SETTLED))
        if not below <= 0 <= above:
            raise ArgumentValueError(
                "there is no best temperature: the loss falls without end as T grows, for on average the logits of "
                "labels are no larger than those of other classes. Are labels and logits of the same rows?"
                if below > 0
                else f"the search for a temperature ended at T = {float((-log_scale).exp()):.3g}, where the loss still "
                "falls: scale the logits first"
            )
        return log_scale

    def _check(self) -> None:
        """The loss is a number, and does not fall for ever as T → 0."""
        _, _, _, top = F.token_statistics(self.logits)
        label, largest = (
            F.token_statistics(self.logits, y, ignore_index=self.ignore_index).log_prob for y in (self.labels, top)
        )
        assert label is not None
        assert largest is not None
        if not bool(weighted(label, self.weight).sum().isfinite()):
            raise ArgumentValueError(
                "the mean −log p of the labels is not finite: do logits hold nan or inf, or mask a label with -inf?"
            )
        if not bool(weighted(largest - label, self.weight).any()):
            now, coldest = (float(self.at(torch.tensor(log_scale))[0]) for log_scale in (0.0, _FARTHEST))
            if coldest >= now * (1 - 1e-6) > 0:  # rounding of rows in float32; a row that differs falls by far more
                raise ArgumentValueError(
                    "there is no best temperature: in each row that counts all logits are equal, and the loss is the "
                    "same at any T. Are these the logits of the model?"
                )
            raise ArgumentValueError(
                f"there is no best temperature: in all {int((self.weight != 0).sum())} rows that count the label "
                "has the largest logit, and the loss falls without end as T → 0. Use more held-out rows, of which "
                "the model gets some wrong (not those it was trained on); or leave T as it is"
            )
