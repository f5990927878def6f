"""The kernel of the divergence of student and teacher from their mixture m = λ p + μ q, λ + μ = 1.

    ℓ = a KL(p‖m) + b KL(q‖m) = Σ q g + Σ p g'          G = c q (g − Σ q g)          G' = c p (g' − Σ p g')

    g  = −s (p/m − 1) − b log(m/q)          g' = s (q/m − 1) − a log(m/p)          s = a μ − b λ

q = softmax(z) of the student, p of the teacher · c the row's coefficient, times the derivative of each loading.

g and g' are the derivatives of ℓ with respect to q and p, but for one number that is the same for all classes and so
changes no gradient; without it they are 0 where p = q, and both losses and gradients keep their digits there. Of each
class q g + p g' is a p log(p/m) + b q log(q/m) + s (q − p), which is ≥ 0, and whose last part adds up to 0. All of it
is finite, whatever the logits.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from crossentropy._backends.chunked._divergence import Divergence
from crossentropy._backends.chunked._tile import Setting, Tensors, factor
from crossentropy._logspace import log_ratios
from crossentropy._loss import mixes


@dataclass(frozen=True)
class Mixed(Divergence):
    """Divergence of a student and a teacher from their mixture."""

    def _terms(self, works: Tensors) -> Tensors:
        """From log q and log p: q, p, g and g'."""
        (log_q, log_p), (a, b, *shares) = works, self.specs[0].mixture
        of_p, of_q = log_ratios(log_p, log_q, *shares)
        s = a * shares[1] - b * shares[0]
        return log_q.exp(), log_p.exp(), _slope(-s, of_p, b, of_q), _slope(s, of_q, a, of_p)

    def _sum(self, terms: Tensors) -> None:
        q, p, of_q, of_p = terms
        rows = self.rows
        torch.sum(q * of_q, 1, keepdim=True, out=rows.of_student)
        torch.sum(p * of_p, 1, keepdim=True, out=rows.loss)
        rows.loss.add_(rows.of_student).clamp_(min=0.0)  # a rounding below 0

    def _derive(self, works: Tensors, terms: Tensors, slopes: list[Tensor | None]) -> None:
        rows = self.rows
        assert rows.coefficient is not None
        parts = rows.of_student, rows.loss - rows.of_student
        for spec, work, q, slope, part in zip(self.specs, works, terms[:2], terms[2:], parts):
            torch.sub(slope, part, out=work).mul_(q).mul_(rows.coefficient * factor(spec))
        self._unload(works, slopes)


def _slope(s: float, ratio: Tensor, weight: float, other: Tensor) -> Tensor:
    """A slope s (e^−ratio − 1) − weight · other."""
    return torch.expm1(-ratio).mul_(s).sub_(other, alpha=weight)


def divergence(setting: Setting) -> Divergence:
    """The kernel of a divergence, from a mixture or not."""
    return (Mixed if mixes(setting.loss.sides[0].spec.mixture) else Divergence).of(setting)
