"""A loss to explain: its checked arguments, its rows' losses, and the rows of it that are shown."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from crossentropy import functional
from crossentropy._contract import AnyOptions
from crossentropy._explain import _reference
from crossentropy._explain._data import Lab, Rest, Shown
from crossentropy._explain._rows import choose_classes, choose_rows, logits_of, rows_of, transform
from crossentropy._loss import LossSpec, LossTensors
from crossentropy.information import Unit, per_nat

TEMPERATURES = torch.logspace(-1, 1, 41, dtype=torch.float64)
"""Those of the page's slider: 0.1 to 10, with 1 in the middle."""


@dataclass(frozen=True, eq=False)
class Problem:
    """A loss to explain: its checked arguments, and how this package is called for it."""

    tensors: LossTensors
    spec: LossSpec
    source: str
    """Where the logits come from: "input", "probs" or "hidden"."""
    given: torch.Size
    """The shape of what was given."""
    dtype: torch.dtype
    """Its dtype."""
    out_dtype: torch.dtype | None
    options: AnyOptions

    def call(
        self,
        reduction: str,
        token_weight: Tensor | None,
        denominator: Tensor | float | None,
        out_dtype: torch.dtype | None,
    ) -> Tensor:
        """The loss by this package's function."""
        x, keywords = self.tensors, self.keywords()
        keywords |= {"reduction": reduction, "token_weight": token_weight}
        keywords |= {"denominator": denominator, "out_dtype": out_dtype}
        assert x.target is not None
        if x.linear_weight is None:
            return functional.cross_entropy(x.input, x.target, **keywords, options=self.options)
        return functional.linear_cross_entropy(
            x.input, x.linear_weight, x.target, linear_bias=x.linear_bias, **keywords, options=self.options
        )

    def keywords(self) -> dict[str, Any]:
        """What shapes the loss of a row."""
        names = ("ignore_index", "label_smoothing", "z_loss", "softcap", "logit_scale")
        return {"weight": self.tensors.weight} | {name: getattr(self.spec, name) for name in names}


class Batch:
    """The rows that are shown, whole and as what is shown of them, and what they count."""

    def __init__(
        self, problem: Problem, losses: Tensor, max_rows: int, max_classes: int, names: Sequence[str] | None
    ) -> None:
        x, spec = problem.tensors, problem.spec
        assert x.target is not None
        self.problem, self.spec, self.losses = problem, spec, losses
        flat = choose_rows(losses, max_rows)
        positions = tuple(position(i, losses.shape) for i in flat)
        self.raw = logits_of(x, spec, positions)
        self.z = transform(self.raw.to(spec.dtype), spec)
        self.target = self._target_rows(positions)
        self.weight = torch.ones(spec.num_classes) if x.weight is None else x.weight.detach().cpu()
        self.weight = self.weight.to(spec.dtype)
        t, n = _reference.token_weights(x, spec), _reference.counts(x, spec)
        self.all_t, self.all_n = t.cpu(), n.cpu()
        self.denominator = self._denominator()
        self.loss = self._pick(losses, positions)
        self.t, self.n = self._pick(self.all_t, positions), self._pick(self.all_n, positions)
        ignored = tuple(
            bool(label == spec.ignore_index) and not spec.probabilities for label in self.target.flatten(1)[:, 0]
        )
        wanted = (
            self.target.argmax(1)
            if spec.probabilities
            else torch.where(self.target[:, 0] == spec.ignore_index, -1, self.target[:, 0])
        )
        self.classes = choose_classes(self.z, wanted, max_classes)
        self.tau = self._tau()
        self.shown = Shown(
            positions,
            losses.numel(),
            self.classes,
            spec.num_classes,
            self._labels(ignored),
            ignored,
            None if names is None else tuple(names),
        )
        self.counted = [row for row, skipped in enumerate(ignored) if not skipped]

    def _target_rows(self, positions: tuple[tuple[int, ...], ...]) -> Tensor:
        """Targets of the shown rows: probabilities (R, C), or labels (R, 1)."""
        target = self.problem.tensors.target
        assert target is not None
        if self.spec.probabilities:
            return rows_of(target, self.spec.class_dim, positions).to(self.spec.dtype)
        return torch.stack([target[position] for position in positions]).cpu().unsqueeze(1)

    @staticmethod
    def _pick(x: Tensor, positions: tuple[tuple[int, ...], ...]) -> Tensor:
        return torch.stack([x[position] for position in positions]).cpu()

    def _labels(self, ignored: tuple[bool, ...]) -> tuple[tuple[int, ...], ...]:
        if self.spec.probabilities:
            p = self.gather(self.target)
            hit = (p == p.amax(1, keepdim=True)) & (p > 0.5)
        else:
            hit = self.classes == self.target
        return tuple(
            () if skipped else tuple(int(k) for k in row.nonzero()[:, 0]) for row, skipped in zip(hit, ignored)
        )

    def _tau(self) -> Tensor:
        """What each class weighs in the loss of its row, (R, C): 0 in rows that are ignored."""
        spec, ε = self.spec, self.spec.label_smoothing
        if spec.probabilities:
            return self.weight * ((1 - ε) * self.target + ε / spec.num_classes)
        ignored = self.target == spec.ignore_index
        one_hot = torch.zeros_like(self.z).scatter(1, torch.where(ignored, 0, self.target), 1.0)
        return (self.weight * ((1 - ε) * one_hot + ε / spec.num_classes)).masked_fill(ignored, 0.0)

    def _denominator(self) -> float | None:
        """What the mean divides by."""
        if self.spec.reduction != "mean":
            return None
        given = self.problem.tensors.denominator
        return float((self.all_t * self.all_n).sum()) if given is None else float(given)

    def gather(self, x: Tensor) -> Tensor:
        """The shown classes of rows (R, C)."""
        return x.gather(1, self.classes)

    def rest(self, x: Tensor) -> Tensor | None:
        """The sum over the classes that are not shown, or None if all are."""
        if self.shown.aligned:
            return None
        return x.scatter(1, self.classes, 0.0).sum(1)

    @property
    def coefficient(self) -> Tensor:
        """The factor with which each shown row's loss enters the result."""
        if self.denominator is None:
            return self.t
        return self.t / self.denominator if self.denominator else torch.zeros_like(self.t)

    @property
    def other_rows(self) -> float:
        """What the rows that are not shown add to Σ t ℓ."""
        others = torch.ones(self.losses.shape, dtype=torch.bool)
        for position in self.shown.positions:
            others[position] = False
        counted = torch.where(self.all_t == 0, 0.0, self.all_t * self.losses.cpu())
        return float(counted[others].sum())

    def _other_rows_of_the_value(self) -> float:
        """What the rows that are not shown add to the reduced loss: nan if the mean has nothing to count."""
        if self.denominator == 0 and self.problem.tensors.denominator is None:
            return math.nan
        return self.other_rows / (self.denominator or 1.0)

    def gradient(self) -> Tensor:
        """The gradient with respect to the logits of the shown rows, as this package computes it, (R, C)."""
        target = self.target if self.spec.probabilities else self.target[:, 0]
        raw = self.raw.to(self.spec.dtype).detach().requires_grad_()
        with torch.enable_grad():
            keywords: dict[str, Any] = self.problem.keywords() | {
                "weight": self.weight,
                "token_weight": self.coefficient,
            }
            loss = functional.cross_entropy(raw, target, reduction="sum", **keywords)
            return torch.autograd.grad(loss, raw)[0]

    def apart(self, largest: float) -> float:
        """How far log-probabilities down to −largest, and the gradient, of the shown rows are from torch's."""
        raw = self.raw.double().detach().requires_grad_()
        target = self.target if self.spec.probabilities else self.target[:, 0]
        rows = LossTensors(raw, target, self.weight)
        spec = replace(self.spec, class_dim=1)
        with torch.enable_grad():
            z = transform(raw, spec)
            log_q = torch.log_softmax(z, 1)
            loss = _reference.row_losses(rows, spec, z)
            counted = torch.where(self.coefficient == 0, 0.0, self.coefficient * loss).sum()
            gradient = torch.autograd.grad(counted, raw)[0]
        keep = torch.tensor(self.counted, dtype=torch.long)
        ours, theirs = functional.log_softmax(self.z, 1)[keep], log_q.detach()[keep]
        beyond = theirs < -largest  # as the classes that are masked by −1e9, which nothing depends on
        entering = keep[
            (self.coefficient != 0)[keep] & ~loss.detach().isnan()[keep]
        ]  # torch's can be 0 · inf elsewhere
        return max(
            _reference.difference(ours.masked_fill(beyond, 0.0), theirs.masked_fill(beyond, 0.0)),
            _reference.difference(self.gradient()[entering], gradient[entering]),
        )

    def steepest(self) -> float:
        """The most that the gradient of a shown row could be, times what rounding its logits changes it by."""
        spec, lse = self.spec, torch.logsumexp(self.z.double(), 1)
        push = self.tau.double().sum(1) + 2 * spec.z_loss * self.n * lse.abs()
        size = self.coefficient * spec.logit_scale * push * (math.log(spec.num_classes) + self.z.double().amax(1).abs())
        return _reference.largest_of(size)

    def lab(self, unit: Unit) -> Lab:
        """What the page needs to compute the shown rows again."""
        spec = self.spec
        p = self.target if spec.probabilities else self.classes == self.target
        if not spec.probabilities:
            p = torch.zeros_like(self.z).scatter(1, self.classes, p.to(self.z.dtype))
        return Lab(
            logits=self.gather(self.raw).double(),
            p=self.gather(p).double(),
            tau=self.gather(self.tau).double(),
            count=self.n,
            coefficient=self.coefficient,
            temperatures=TEMPERATURES,
            rest=sums_of_hidden(self.z, self.classes, p, self.tau),
            other_rows=self._other_rows_of_the_value(),
            z_loss=spec.z_loss,
            softcap=spec.softcap,
            logit_scale=spec.logit_scale,
            per_nat=per_nat(unit),
        )


def sums_of_hidden(z: Tensor, classes: Tensor, p: Tensor, tau: Tensor) -> Rest:
    """What the page needs of the classes that are not shown, in each row of logits z (R, C)."""
    hidden, z = torch.ones_like(z, dtype=torch.bool).scatter(1, classes, False), z.double()
    absent, p, tau = z.masked_fill(~hidden, -torch.inf), p.double() * hidden, tau.double() * hidden
    lse = [torch.logsumexp(absent / t, 1) for t in TEMPERATURES] if hidden.any() else [z.new_zeros(len(z))]
    return Rest(
        torch.stack(lse, 1),
        absent.amax(1),
        p.sum(1),
        torch.where(p == 0, 0.0, p * z).sum(1),
        tau.sum(1),
        torch.where(tau == 0, 0.0, tau * z).sum(1),
    )


def position(i: int, shape: torch.Size) -> tuple[int, ...]:
    """The index of entry i of a tensor in row-major order."""
    result: list[int] = []
    for size in reversed(shape):
        i, j = divmod(i, size)
        result.insert(0, j)
    return tuple(result)
