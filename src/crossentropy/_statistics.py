"""The one algebra: a few sums over a row of logits, which merge.

    m = max z      o = Σ_{c≠k} exp(z_c − m)      z_k      t = Σ τ_c (z_c − m)      T = Σ τ_c
    e = Σ exp(z_c − m)(z_c − m)      s = o + exp(z_k − m)

    lse = m + log s      −log p_k = log s + (m − z_k)      −Σ τ_c log p_c = T log s − t      H = log s − e/s

z logits of one row · k the class that is kept apart: the target, or the largest · τ what a target or class weights put
on each class · p = softmax(z) · H its entropy.

Keeping a class apart keeps relative accuracy. Where k is more likely than all others together, −log p_k is
log1p(o / exp(z_k − m)): a logarithm near 1 of a sum of small numbers, which log(s) would lose in its rounding. So the
loss has every digit, at any size. The maximum m may be any number near it: it only keeps exponentials in range.

Statistics of two disjoint sets of classes `merge` exactly, whatever divides the classes: a block of them or a device.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from crossentropy._logspace import product


class RowStatistics(NamedTuple):
    """Sums over a set of classes, of many rows at once; every field has the rows' shape."""

    maximum: Tensor
    """m, never −inf but `lowest` for classes that are all −inf: −inf − (−inf) does not happen."""
    others: Tensor
    """o, the sum over all classes but the one apart."""
    apart: Tensor
    """z_k; −inf where k is not in the set."""
    weighted: Tensor | None = None
    """t."""
    weight: Tensor | None = None
    """T, which is known before the logits are; for a set of classes, theirs."""
    elsewhere: Tensor | None = None
    """T without the class apart, where that is the largest."""
    energy: Tensor | None = None
    """e."""
    top: Tensor | None = None
    """The class of the largest logit, the first of equal ones, and the first nan; the one apart, but for a label."""
    target: Tensor | None = None
    """The logit of a label, where the largest is apart; −inf where it is not in the set."""


class Comparison(NamedTuple):
    """What is known of rows of two logits, a student's and a teacher's, when their divergence is."""

    student: RowStatistics
    teacher: RowStatistics
    divergence: Tensor
    of_student: Tensor
    """What of it is the student's share, where it is a divergence from a mixture; else 0."""


def lowest(dtype: torch.dtype) -> float:
    """The maximum of classes that are all −inf: no finite logit is below it, and it is a legal logit itself."""
    return torch.finfo(dtype).min


def finite(differences: Tensor) -> Tensor:
    """Differences to a maximum, in a new tensor, −1000 at least: the exponential is 0 as well, and 0 times it is 0."""
    return differences.clamp(min=-1000.0)


def of_no_classes(row: RowStatistics) -> RowStatistics:
    """The statistics of an empty set of classes, which change no others, from zeros for each."""
    nothing = torch.full_like(row.apart, -torch.inf)
    lowest_of_all = torch.full_like(row.maximum, lowest(row.maximum.dtype))
    return row._replace(maximum=lowest_of_all, apart=nothing, target=None if row.target is None else nothing)


def merge(a: RowStatistics, b: RowStatistics) -> RowStatistics:
    """The statistics of the union of two disjoint sets of classes, those of `a` before those of `b`.

    The larger of the two classes apart stays apart; the smaller joins the others. For a label, which is in one set
    only, that is the label.
    """
    maximum = torch.maximum(a.maximum, b.maximum)
    others = torch.exp(torch.minimum(a.apart, b.apart) - maximum)
    shifts = a.maximum - maximum, b.maximum - maximum
    weighted = weight = energy = elsewhere = top = target = None
    for part, shift in zip((a, b), shifts):
        others = others + part.others * shift.exp()
        if part.weighted is not None and part.weight is not None:
            weighted = part.weighted + product(part.weight, shift) + (0.0 if weighted is None else weighted)
            weight = part.weight + (0.0 if weight is None else weight)
        if part.energy is not None:
            energy = shift.exp() * (part.energy + total(part) * finite(shift)) + (0.0 if energy is None else energy)
    if a.top is not None and b.top is not None:
        stays = (a.apart >= b.apart) | a.apart.isnan()
        top = torch.where(stays, a.top, b.top)
        if a.elsewhere is not None and b.elsewhere is not None:
            assert a.weight is not None
            assert b.weight is not None
            elsewhere = torch.where(stays, a.elsewhere + b.weight, a.weight + b.elsewhere)
    if a.target is not None and b.target is not None:
        target = torch.maximum(a.target, b.target)
    apart = torch.maximum(a.apart, b.apart)
    return RowStatistics(maximum, others, apart, weighted, weight, elsewhere, energy, top, target)


def total(row: RowStatistics) -> Tensor:
    """Sum s of exp(z − m) over all classes."""
    return row.others + torch.exp(row.apart - row.maximum)


def log_total(row: RowStatistics) -> Tensor:
    """Logarithm of s, accurate relative to itself where the class apart is the largest."""
    above = row.apart - row.maximum
    apart = above.exp()
    return torch.where(apart > row.others, above + torch.log1p(row.others / apart), (row.others + apart).log())


def information(row: RowStatistics) -> Tensor:
    """Information −log p_k of the class apart, accurate relative to itself."""
    above = row.apart - row.maximum
    apart = above.exp()
    return torch.where(apart > row.others, torch.log1p(row.others / apart), (row.others + apart).log() - above)


def logsumexp(row: RowStatistics) -> Tensor:
    """Logarithm of Σ exp(z); inf where a logit is inf."""
    return torch.where(row.maximum == torch.inf, torch.inf, row.maximum + log_total(row))


def entropy(row: RowStatistics) -> Tensor:
    """Entropy of the softmax: the sum of two terms that are not negative."""
    assert row.energy is not None
    return log_total(row) - row.energy / total(row)
