"""Accuracy on hostile logits, against float64 and mpmath, with budgets that are derived."""

import mpmath
import pytest
import torch
import torch.nn.functional as TF
from torch import Tensor

import crossentropy.functional as F
from backends import ALL
from crossentropy import Options
from crossentropy._logspace import log_softmax, logsumexp, product
from crossentropy.testing import assert_accurate, hostile_logits

KINDS = list(hostile_logits(1, 2))
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
C = 9


def targets(z: Tensor) -> dict[str, Tensor]:
    """Labels of the most and the least likely class that is not masked, and of class 0."""
    return {
        "most": z.argmax(1),
        "least": z.masked_fill(z.isinf(), torch.inf).argmin(1),
        "first": z.new_zeros(len(z)).long(),
    }


def exact_rows(z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Loss and gradient of each row in 1,000 digits, from the numbers given, rounded to float64."""
    losses, gradients = [], []
    with mpmath.workdps(1000):
        for row, label in zip(z.double().tolist(), y.tolist()):
            weights = [mpmath.exp(mpmath.mpf(a) - mpmath.mpf(row[label])) if a > -float("inf") else 0 for a in row]
            others = mpmath.fsum(w for c, w in enumerate(weights) if c != label)
            losses.append(float(mpmath.log1p(others)))
            gradients.append([float((w if c != label else -others) / (1 + others)) for c, w in enumerate(weights)])
    return torch.tensor(losses, dtype=torch.float64), torch.tensor(gradients, dtype=torch.float64)


def budget(z: Tensor, dtype: torch.dtype) -> float:
    """Roundings of a loss or of an entry of its gradient.

    z − max z is rounded once, which exp turns into a relative error of half an ulp of the row's range R: 2R roundings
    for a probability and its normaliser. The sum over C classes and the functions around it add C + 8. Half precision
    computes in float32, 2^13 (float16) or 2^16 (bfloat16) times finer, and rounds once.
    """
    finite = z.double().masked_fill(z.isinf(), 0.0)
    spread = (finite.amax(1) - finite.amin(1)).max().item()
    work = 2 * spread + C + 8
    return 1 + work * torch.finfo(torch.float32).eps / torch.finfo(dtype).eps if dtype.itemsize == 2 else work


@pytest.mark.parametrize(
    ("dtype", "backend"),
    [(d, b) for d in DTYPES for b in ("auto", *ALL) if not (b == "native" and d == torch.float64)],
    ids=str,
)
@pytest.mark.parametrize("kind", KINDS)
def test_losses_and_gradients_of_hostile_logits(kind: str, dtype: torch.dtype, backend: str, device: str) -> None:
    # without options tiny problems may go to torch's operators
    options = None if backend == "auto" else Options(backend=backend)
    z = hostile_logits(6, C, dtype)[kind].to(device)
    for y in targets(z).values():
        true_loss, true_gradient = exact_rows(z, y)
        x = z.clone().requires_grad_()
        loss = F.cross_entropy(x, y, reduction="none", options=options)
        (gradient,) = torch.autograd.grad(loss.sum(), x)
        # relative to each entry, however small: no magnitude is given
        assert_accurate(loss, true_loss.to(device), roundings=budget(z, dtype))
        assert_accurate(gradient, true_gradient.to(device), roundings=budget(z, dtype))


@pytest.mark.parametrize("kind", KINDS)
def test_one_hot_probabilities_are_as_accurate_as_labels(kind: str) -> None:
    z = hostile_logits(6, C)[kind]
    y = z.argmax(1)
    _, true_gradient = exact_rows(z, y)
    x = z.clone().requires_grad_()
    loss = F.cross_entropy(x, TF.one_hot(y, C).float(), reduction="none")
    assert_accurate(loss, F.cross_entropy(z, y, reduction="none").double(), roundings=4)
    (gradient,) = torch.autograd.grad(loss.sum(), x)
    assert_accurate(gradient, true_gradient, roundings=budget(z, torch.float32))


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_a_large_flat_vocabulary_keeps_relative_accuracy(offset: float, device: str) -> None:
    # 1 − p would be off by half an ulp of 1, which is 1 % of p = 1/V
    vocabulary = 200_000
    z = (torch.randn(2, vocabulary, device=device) + offset).requires_grad_()
    y = torch.tensor([0, int(z[1].argmax())], device=device)
    loss = F.cross_entropy(z, y, reduction="none", z_loss=1e-4)
    (gradient,) = torch.autograd.grad(loss.sum(), z)
    z64 = z.detach().double().requires_grad_()
    true = TF.cross_entropy(z64, y, reduction="none") + 1e-4 * z64.logsumexp(1).square()
    (true_gradient,) = torch.autograd.grad(true.sum(), z64)
    assert_accurate(loss, true, roundings=32)
    # a factor a · p with a = 1 + 2 λ lse; sums of V terms in blocks; 10 ≈ the range of z
    assert_accurate(gradient, true_gradient, roundings=64)


@pytest.mark.parametrize("kind", ["ordinary", "huge", "masked", "peaked", "tiny"])
def test_log_softmax_and_logsumexp(kind: str) -> None:
    z = hostile_logits(4, C)[kind].requires_grad_()
    z64 = z.detach().double().requires_grad_()
    assert_accurate(logsumexp(z, 1), torch.logsumexp(z64, 1), roundings=8)
    (gradient,) = torch.autograd.grad(logsumexp(z, 1).sum(), z)
    assert_accurate(gradient, z64.softmax(1), roundings=budget(z.detach(), torch.float32))
    # where a class is certain float64's own log_softmax is no reference: its others' sum is
    p = z64.softmax(1)
    others = torch.stack([p[:, [c for c in range(C) if c != i]].sum(1) for i in range(C)], 1)
    true = torch.where(others < 0.5, torch.log1p(-others), z64.log_softmax(1))
    assert_accurate(log_softmax(z, 1), true, roundings=budget(z.detach(), torch.float32))


def test_rows_without_any_class_are_not_a_number() -> None:
    z = torch.full((1, 3), -torch.inf)
    assert F.cross_entropy(z, torch.tensor([0])).isnan()
    assert logsumexp(z, 1).item() == -torch.inf


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_nan_or_an_overflowed_logit_is_not_hidden(bad: float) -> None:
    for y in (0, 1):
        z = torch.tensor([[bad, 0.0]], requires_grad=True)
        loss = F.cross_entropy(z, torch.tensor([y]))
        assert loss.isnan()
        assert torch.autograd.grad(loss, z)[0].isnan().any()


def test_product_masks_infinities_and_nothing_else() -> None:
    p = torch.tensor([0.0, 0.0, 0.5, 0.0, 0.5], requires_grad=True)
    log_q = torch.tensor([-torch.inf, -2.0, -torch.inf, torch.nan, -2.0], requires_grad=True)
    result = product(p, log_q)
    assert result.nan_to_num(nan=9, neginf=-torch.inf).tolist() == [0.0, 0.0, -torch.inf, 9.0, -1.0]
    gradient_p, gradient_q = torch.autograd.grad(result.nan_to_num().sum(), (p, log_q))
    assert gradient_p[[0, 1, 4]].tolist() == [0.0, -2.0, -2.0]
    assert gradient_q[[0, 1, 4]].tolist() == [0.0, 0.0, 0.5]


def test_summation_of_many_rows_is_right_to_one_rounding(device: str) -> None:
    z = torch.randn(300_000, 3, device=device)
    y = torch.randint(0, 3, (300_000,), device=device)
    true = TF.cross_entropy(z.double(), y)
    # pairwise sums in float32: log2 of the number of rows
    assert_accurate(F.cross_entropy(z, y), true, roundings=20)
