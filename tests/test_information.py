"""The quantities on discrete distributions against known numbers, SciPy, mpmath and their own identities."""

import math

import mpmath
import numpy as np
import pytest
import scipy.spatial.distance
import scipy.stats
import sklearn.metrics
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from crossentropy import explain
from crossentropy import information as info
from crossentropy.testing import assert_accurate

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
PAIRS = [info.cross_entropy, info.kl_divergence, info.js_divergence]


@st.composite
def distributions(draw: st.DrawFn, count: int = 1) -> list[Tensor]:
    """Distributions over one number of classes, some with zeros and some extremely uneven."""
    size = draw(st.integers(1, 12))
    entry = st.one_of(st.just(0.0), st.floats(1e-300, 1e-200), st.floats(1e-3, 1.0))
    rows = [
        torch.tensor(draw(st.lists(entry, min_size=size, max_size=size)), dtype=torch.float64) for _ in range(count)
    ]
    rows = [torch.where(row.sum() > 1e-3, row, 1.0) for row in rows]
    return [row / row.sum() for row in rows]


def exact(name: str, p: Tensor, q: Tensor | None = None) -> float:
    """The quantity in 50 digits, from the float64 numbers given; p log(p/q) − p + q per class for divergences."""
    with mpmath.workdps(50):
        ps = [mpmath.mpf(x) for x in p.double().tolist()]
        qs = [mpmath.mpf(x) for x in (p if q is None else q).double().tolist()]

        def kl(a: list, b: list) -> mpmath.mpf:
            if any(x > 0 and y == 0 for x, y in zip(a, b)):
                return mpmath.inf
            return mpmath.fsum((x * mpmath.log(x / y) if x else 0) - x + y for x, y in zip(a, b))

        if name == "entropy":
            return float(-mpmath.fsum(x * mpmath.log(x) for x in ps if x))
        if name == "kl_divergence":
            return float(kl(ps, qs))
        if name == "js_divergence":
            m = [(x + y) / 2 for x, y in zip(ps, qs)]
            return float((kl(ps, m) + kl(qs, m)) / 2)
        if any(x > 0 and y == 0 for x, y in zip(ps, qs)):
            return math.inf
        return float(-mpmath.fsum(x * mpmath.log(y) for x, y in zip(ps, qs) if x))


# --- known numbers ------------------------------------------------------------------------------------------------


def test_information_of_dice() -> None:
    at_least_one_six = torch.tensor(1 - (5 / 6) ** 6, dtype=torch.float64)
    six_sixes = torch.tensor(6.0**-6, dtype=torch.float64)
    assert info.information(at_least_one_six, unit="bit").item() == pytest.approx(0.588352435104, abs=1e-12)
    assert info.information(six_sixes).item() == pytest.approx(10.750556815368, abs=1e-12)
    assert info.information(six_sixes, unit="bit").item() == pytest.approx(15.509775004327, abs=1e-12)
    assert info.information(torch.tensor([1.0, 0.0])).tolist() == [0.0, math.inf]


def test_the_three_class_example() -> None:
    p, q = [0.0, 1.0, 0.0], [0.1, 0.2, 0.7]
    for quantity in (info.cross_entropy, info.kl_divergence):
        assert quantity(p, q).item() == pytest.approx(1.609438, abs=1e-6)
        assert quantity(p, q, unit="bit").item() == pytest.approx(2.321928, abs=1e-6)
    assert info.entropy(p).item() == 0.0


@pytest.mark.parametrize("n", [1, 2, 3, 10, 1000])
def test_entropy_of_equal_outcomes_is_log_n(n: int) -> None:
    p = torch.full((n,), 1 / n, dtype=torch.float64)
    assert info.entropy(p).item() == pytest.approx(math.log(n), rel=1e-14, abs=1e-15)
    assert info.perplexity(p).item() == pytest.approx(n, rel=1e-13)
    assert info.entropy(logits=torch.zeros(n, dtype=torch.float64)).item() == pytest.approx(math.log(n), abs=1e-14)


def test_units() -> None:
    p = torch.tensor([0.3, 0.7], dtype=torch.float64)
    nats = info.entropy(p)
    assert info.entropy(p, unit="bit").item() == pytest.approx(nats.item() / math.log(2))
    assert info.entropy(p, unit="hartley").item() == pytest.approx(nats.item() / math.log(10))


def test_infinite_where_q_is_zero_and_p_is_not() -> None:
    p, q = torch.tensor([0.5, 0.5, 0.0]), torch.tensor([1.0, 0.0, 0.0])
    assert info.cross_entropy(p, q).item() == math.inf
    assert info.kl_divergence(p, q).item() == math.inf
    assert info.kl_divergence(q, p).item() == pytest.approx(math.log(2))
    assert info.js_divergence(p, q).item() == pytest.approx(exact("js_divergence", p, q))


def test_mutual_information_of_dependent_and_independent_variables() -> None:
    x, y = torch.tensor([0.2, 0.8]), torch.tensor([0.5, 0.25, 0.25])
    assert info.mutual_information(x[:, None] * y).item() == pytest.approx(0.0, abs=1e-7)
    assert info.mutual_information(torch.diag(x)).item() == pytest.approx(info.entropy(x).item())


# --- identities ---------------------------------------------------------------------------------------------------


@given(distributions())
def test_no_distribution_of_n_outcomes_has_more_entropy_than_log_n(rows: list[Tensor]) -> None:
    (p,) = rows
    h = info.entropy(p).item()
    assert 0 <= h <= math.log(len(p)) + 1e-14


@given(distributions(count=2))
def test_cross_entropy_is_entropy_plus_divergence(rows: list[Tensor]) -> None:
    p, q = rows
    h, kl = info.entropy(p), info.kl_divergence(p, q)
    assert_accurate(info.cross_entropy(p, q), h + kl, roundings=32, magnitude=1.0)


@given(distributions(count=2))
def test_divergence_is_at_least_half_the_squared_distance(rows: list[Tensor]) -> None:
    p, q = rows
    distance = (p - q).abs().sum().item()
    kl, js = info.kl_divergence(p, q).item(), info.js_divergence(p, q).item()
    assert kl >= 0.5 * distance**2 * (1 - 1e-12)  # Pinsker: 0 only for p = q
    assert 0 <= js <= math.log(2) * (1 + 1e-12)
    assert info.kl_divergence(p, p).item() == 0


@given(distributions(count=2))
def test_js_divergence_is_symmetric(rows: list[Tensor]) -> None:
    p, q = rows
    assert_accurate(info.js_divergence(p, q), info.js_divergence(q, p), roundings=8)


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 99))
def test_mutual_information_is_the_sum_of_entropies_less_the_joint(rows: int, columns: int, seed: int) -> None:
    z = 3 * torch.randn(rows, columns, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    joint = z.flatten().softmax(0).reshape(rows, columns)
    expected = info.entropy(joint.sum(1)) + info.entropy(joint.sum(0)) - info.entropy(joint.flatten())
    for result in (info.mutual_information(joint), info.mutual_information(logits=z)):
        assert_accurate(result, expected, roundings=32, magnitude=4.0)


# --- against SciPy and mpmath -------------------------------------------------------------------------------------


@given(distributions(count=2))
def test_against_mpmath(rows: list[Tensor]) -> None:
    p, q = rows
    n = len(p)
    # n terms, each with a logarithm, a product and an addition
    for quantity in PAIRS:
        true = torch.tensor(exact(quantity.__name__, p, q), dtype=torch.float64)
        assert_accurate(quantity(p, q), true, roundings=4 * n, magnitude=1.0)
    assert_accurate(info.entropy(p), torch.tensor(exact("entropy", p), dtype=torch.float64), roundings=4 * n)


def test_against_scipy_on_a_batch() -> None:
    p, q = (torch.randn(50, 7, dtype=torch.float64).mul(3).softmax(1) for _ in range(2))
    tolerance = {"rtol": 1e-12, "atol": 1e-14}
    np.testing.assert_allclose(info.entropy(p), scipy.stats.entropy(p, axis=1), **tolerance)
    np.testing.assert_allclose(info.kl_divergence(p, q), scipy.stats.entropy(p, q, axis=1), **tolerance)
    np.testing.assert_allclose(
        info.js_divergence(p, q), scipy.spatial.distance.jensenshannon(p, q, axis=1) ** 2, **tolerance
    )
    np.testing.assert_allclose(info.entropy(p, unit="bit"), scipy.stats.entropy(p, base=2, axis=1), **tolerance)


def test_single_quantities_against_numpy_and_scikit_learn() -> None:
    p = torch.randn(50, 7, dtype=torch.float64).mul(3).softmax(1)
    p[:, 2] = 0
    p = p / p.sum(1, keepdim=True)
    np.testing.assert_allclose(info.perplexity(p), np.exp(scipy.stats.entropy(p, axis=1)), rtol=1e-12)
    np.testing.assert_allclose(info.information(p[:, 0], unit="hartley"), -np.log10(p[:, 0].numpy()), rtol=1e-12)
    counts = torch.randint(0, 5, (4, 6)).double()
    counts[0] = 0
    expected = sklearn.metrics.mutual_info_score(None, None, contingency=counts.numpy())
    assert info.mutual_information(counts / counts.sum()).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("gap", [1e-2, 1e-4, 1e-6])
def test_close_distributions_keep_their_digits(gap: float) -> None:
    p = torch.tensor([0.3, 0.3, 0.4], dtype=torch.float64)
    q = p + gap * torch.tensor([1.0, -2.0, 1.0], dtype=torch.float64)
    for kl, true in (
        (info.kl_divergence(p, q), exact("kl_divergence", p, q)),
        (info.kl_divergence(p_logits=p.log(), q_logits=q.log()), exact("kl_divergence", p, q)),
    ):
        # the logarithms are off by eps each; that enters the sum multiplied by the gap, which is the root of the sum
        assert kl.item() == pytest.approx(true, rel=8 * torch.finfo(torch.float64).eps / gap)


@pytest.mark.parametrize("scale", [1.0, 30.0, 700.0, 1e4, 1e300])
def test_from_logits_nothing_overflows(scale: float) -> None:
    z, y = (torch.tensor(row, dtype=torch.float64) * scale for row in ([0.5, -1.0, 0.25], [0.0, 0.3, -0.1]))
    with mpmath.workdps(1200):
        log_p, log_q = ([mpmath.mpf(a) - mpmath.mpf(max(row)) for a in row] for row in (z.tolist(), y.tolist()))
        log_p, log_q = (
            [a - mpmath.log(mpmath.fsum(mpmath.exp(b) for b in row)) for a in row] for row in (log_p, log_q)
        )
        p = [mpmath.exp(a) for a in log_p]
        true = {
            info.entropy(logits=z): -mpmath.fsum(a * b for a, b in zip(p, log_p)),
            info.cross_entropy(p_logits=z, q_logits=y): -mpmath.fsum(a * b for a, b in zip(p, log_q)),
            info.kl_divergence(p_logits=z, q_logits=y): mpmath.fsum(a * (b - c) for a, b, c in zip(p, log_p, log_q)),
        }
    for result, value in true.items():
        # z is exact and z − max is rounded once: exp turns half an ulp of |z| into a relative error of p
        assert_accurate(result, torch.tensor(float(value), dtype=torch.float64), roundings=16 * min(scale, 1e3))


# --- gradients ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quantity", PAIRS)
def test_gradcheck_of_pairs(quantity) -> None:
    z, y = (torch.randn(2, 4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    check = {"check_forward_ad": True, "check_batched_grad": True, "check_batched_forward_grad": True}
    assert torch.autograd.gradcheck(lambda a, b: quantity(p_logits=a, q_logits=b), (z, y), **check)
    assert torch.autograd.gradgradcheck(lambda a, b: quantity(p_logits=a, q_logits=b), (z, y))
    assert torch.autograd.gradcheck(lambda a, b: quantity(a.softmax(-1), q_logits=b), (z, y), **check)
    assert torch.autograd.gradcheck(lambda a, b: quantity(p_logits=a, q=b.softmax(-1)), (z, y), **check)


@pytest.mark.parametrize("quantity", [info.entropy, info.perplexity])
def test_gradcheck_of_singles(quantity) -> None:
    z = torch.randn(2, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a: quantity(logits=a), z, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(lambda a: quantity(logits=a), z)
    joint = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a: info.mutual_information(logits=a), joint)


def test_gradients_are_finite_at_zero_probability() -> None:
    p = torch.tensor([0.0, 0.4, 0.6], requires_grad=True)
    q = torch.tensor([0.0, 0.5, 0.5], requires_grad=True)
    for quantity in (info.entropy(p), *(quantity(p, q) for quantity in PAIRS)):
        for gradient in torch.autograd.grad(quantity, (p, q), allow_unused=True):
            assert gradient is None or gradient.isfinite().all()
    # where q > 0 the slope of −p log q in p is −log q, at p = 0 too
    (slope,) = torch.autograd.grad(info.cross_entropy(p, [0.2, 0.4, 0.4]), p)
    assert slope[0].item() == pytest.approx(-math.log(0.2))


def test_masked_classes_give_finite_values_and_gradients() -> None:
    z = torch.tensor([[1.0, -torch.inf, 2.0], [0.5, -torch.inf, -torch.inf]], requires_grad=True)
    y = torch.tensor([[0.0, -torch.inf, 1.0], [1.0, 0.0, -torch.inf]], requires_grad=True)
    values = [info.entropy(logits=z), *(quantity(p_logits=z, q_logits=y) for quantity in PAIRS)]
    for value in values:
        assert value.isfinite().all()
        for gradient in torch.autograd.grad(value.sum(), (z, y), allow_unused=True):
            assert gradient is None or gradient.isfinite().all()
    unmasked = info.entropy(logits=torch.tensor([1.0, 2.0]))
    assert_accurate(values[0][0], unmasked.double(), roundings=4)


def test_hessian_of_divergence_at_equality_is_the_fisher_information() -> None:
    z = torch.randn(4, dtype=torch.float64)
    p = z.softmax(0)
    hessian = torch.func.hessian(lambda y: info.kl_divergence(p_logits=z, q_logits=y))(z)
    torch.testing.assert_close(hessian, torch.diag(p) - torch.outer(p, p))


# --- shapes, dtypes, transforms -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_half_precision_is_rounded_once(dtype: torch.dtype, device: str) -> None:
    z, y = (torch.randn(5, 100, device=device).to(dtype) for _ in range(2))
    for quantity in PAIRS:
        result = quantity(p_logits=z, q_logits=y)
        assert result.dtype == dtype
        true = quantity(p_logits=z.double(), q_logits=y.double())
        # one rounding to the dtype; in float32 and float64 the 100 terms of the sum count as well
        assert_accurate(
            result, true, roundings=1.01 if dtype.itemsize == 2 else 50, magnitude=1.0 * (dtype.itemsize > 2)
        )


def test_any_axis_and_broadcasting(device: str) -> None:
    p = torch.randn(2, 3, 4, device=device).softmax(1)
    q = torch.randn(3, 1, device=device).softmax(0)
    result = info.cross_entropy(p, q, dim=1)
    assert result.shape == (2, 4)
    rows = p.movedim(1, -1).reshape(-1, 3)
    torch.testing.assert_close(result.flatten(), info.cross_entropy(rows, q[:, 0]))
    assert info.kl_divergence(p, q, dim=-2, keepdim=True).shape == (2, 1, 4)
    assert info.entropy(p, dim=1, keepdim=True).shape == (2, 1, 4)
    assert info.mutual_information(p.movedim(1, 0).softmax(0) / 8, dim=(0, 2), keepdim=True, validate=False).shape == (
        1,
        2,
        1,
    )


def test_batches_without_rows(device: str) -> None:
    assert info.entropy(torch.zeros(0, 3, device=device)).shape == (0,)
    assert info.kl_divergence(
        p_logits=torch.zeros(0, 3, device=device), q_logits=torch.zeros(3, device=device)
    ).shape == (0,)
    assert info.entropy(logits=torch.zeros(2, 0, device=device)).tolist() == [0.0, 0.0]  # no outcomes, no surprise


@pytest.mark.parametrize("quantity", [info.entropy, info.perplexity, info.mutual_information, info.information])
def test_vmap_and_compile_of_singles(quantity) -> None:
    p = torch.rand(4, 3, 5)
    p = p / p.sum((-1, -2), keepdim=True)
    p = p if quantity is info.mutual_information else p / p.sum(-1, keepdim=True)
    expected = quantity(p)
    torch.testing.assert_close(torch.func.vmap(quantity)(p), expected)
    torch.testing.assert_close(torch.compile(quantity, fullgraph=True, backend="aot_eager")(p), expected)
    if quantity is not info.information:
        compiled = torch.compile(lambda z: quantity(logits=z), fullgraph=True, backend="aot_eager")
        torch.testing.assert_close(compiled(p.log()), expected)


@pytest.mark.parametrize("quantity", PAIRS)
def test_vmap_and_compile(quantity) -> None:
    z, y = torch.randn(4, 3), torch.randn(4, 3)
    expected = quantity(p_logits=z, q_logits=y)
    torch.testing.assert_close(torch.func.vmap(lambda a, b: quantity(p_logits=a, q_logits=b))(z, y), expected)
    compiled = torch.compile(lambda a, b: quantity(a, q_logits=b), fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(z.softmax(1), y), expected)
    torch.testing.assert_close(torch.func.vmap(quantity)(z.softmax(1), y.softmax(1)), expected)


def test_numbers_lists_and_arrays_are_taken() -> None:
    assert info.information(0.5, unit="bit").item() == 1
    assert info.entropy([0, 1]).item() == 0
    assert info.entropy(np.array([0.5, 0.5]), unit="bit").dtype == torch.float64


# --- errors -------------------------------------------------------------------------------------------------------


def test_what_was_made_in_float32_is_a_distribution_in_float64() -> None:
    p = torch.randn(100, 1000, generator=torch.Generator().manual_seed(0)).softmax(1).double()
    assert (p.sum(1) != 1).any()
    assert info.entropy(p).isfinite().all()
    assert explain(probs=p[:2], target=torch.tensor([0, 1])).agrees


@pytest.mark.parametrize(
    ("row", "advice"),
    [
        ([0.5, 1.0], "divide each row by its sum; logits go by keyword"),
        ([1.5, -0.5], "logits go by keyword"),
        ([math.log(0.25), math.log(0.75)], r"log-probabilities\? use exp\(\)"),
        ([math.nan, 1.0], r"was a row of zeros divided by its sum\?"),
        ([math.inf, 1.0], r"did a number overflow\?"),
        ([0.0, 0.0], "no class has any probability in this row"),
    ],
)
def test_the_advice_is_right_for_the_row(row: list[float], advice: str) -> None:
    with pytest.raises(ValueError, match=rf" — {advice}; validate=False skips this$"):
        info.entropy([[0.5, 0.5], row])


def test_the_offending_row_and_its_sum_are_shown() -> None:
    p = torch.tensor([[0.5, 0.5], [0.5, 0.75]])
    with pytest.raises(ValueError, match=r"p: row \[1\] sums to 1.25, expected 1 .* \[0.5, 0.75\]"):
        info.entropy(p)
    with pytest.raises(ValueError, match=r"q: row \[1\] sums to 1.25"):
        info.kl_divergence([0.5, 0.5], p)
    with pytest.raises(ValueError, match=r"p: row \[0\] holds -0.5 at class 1"):
        info.entropy([[1.5, -0.5]])
    with pytest.raises(ValueError, match=r"p: row \[1, 2\] sums to 3, .*: \[1, 1, 1\] —"):
        info.entropy(torch.eye(3).repeat(2, 1, 1).index_put((torch.tensor(1), torch.tensor(2)), torch.ones(3)))
    for classes, shown in ((6, "1, 1, 1, 1, 1, 1"), (7, "1, 1, 1, 1, 1, 1, …")):
        with pytest.raises(ValueError, match=rf"^p sums to {classes}, .*: \[{shown}\] —"):
            info.entropy(torch.ones(classes))
    with pytest.raises(ValueError, match="holds nan"):
        info.entropy([math.nan, 1.0])
    with pytest.raises(ValueError, match=r"^p sums to 1 \+2e-06, expected 1 \(± 1e-06\)"):
        info.entropy(torch.tensor([0.1, 0.9 + 2e-6], dtype=torch.float64))
    assert info.entropy(p, validate=False).isfinite().all()


def test_an_underflowed_probability_is_not_zero() -> None:
    p, q = torch.tensor([0.0, -200.0]), torch.tensor([0.0, -math.inf])
    assert info.kl_divergence(p_logits=p, q_logits=q).item() == math.inf
    assert info.cross_entropy(p_logits=p, q_logits=q).item() == math.inf
    assert info.kl_divergence(p_logits=q, q_logits=p).item() == 0


def test_mutual_information_of_masked_pairs_has_finite_gradients() -> None:
    z = torch.tensor([[0.0, 1.0], [-math.inf, -math.inf]], requires_grad=True)
    value = info.mutual_information(logits=z)
    assert value.item() == 0
    assert torch.autograd.grad(value, z)[0].isfinite().all()


def test_a_nan_stays_a_nan() -> None:
    z = torch.tensor([0.0, math.nan])
    assert info.entropy(logits=z).isnan()
    for quantity in PAIRS:
        assert quantity(p_logits=z, q_logits=torch.zeros(2)).isnan()
        assert quantity(p_logits=torch.zeros(2), q_logits=z).isnan()
    assert info.entropy(z, validate=False).isnan()


def test_softmax_output_passes_validation_at_any_size() -> None:
    for dtype in DTYPES:
        for classes in (2, 1000, 50_000):
            assert info.entropy(torch.randn(2, classes).to(dtype).softmax(-1)).isfinite().all()


def test_wrong_arguments() -> None:
    p = torch.tensor([0.5, 0.5])
    with pytest.raises(TypeError, match="both were given"):
        info.entropy(p, logits=p)
    with pytest.raises(TypeError, match="neither was given"):
        info.cross_entropy(p)
    with pytest.raises(ValueError, match="unit is 'bits', expected one of 'nat', 'bit', 'hartley'"):
        info.entropy(p, unit="bits")
    with pytest.raises(ValueError, match=r"p\[1\] is 1.5, expected a number in"):
        info.information([0.5, 1.5])
    with pytest.raises(ValueError, match="p has 2 classes along dim -1 and q has 3"):
        info.kl_divergence(p, [0.2, 0.3, 0.5])
    with pytest.raises(TypeError, match="complex"):
        info.entropy(p + 0j)
    with pytest.raises(ValueError, match="two different axes"):
        info.mutual_information(torch.full((2, 2), 0.25), dim=(1, -1))
    with pytest.raises(IndexError, match=r"dim is 3, expected an axis of p, which has shape \(2,\)"):
        info.entropy(p, dim=3)
    with pytest.raises(IndexError, match=r"dim is -1, expected an axis of p, which has shape \(\)"):
        info.entropy(1.0)
    with pytest.raises(TypeError, match="p is 'abc', expected a tensor or a list of numbers"):
        info.entropy("abc")
    with pytest.raises(ValueError, match=r"p \(2, 2\) and q \(3, 2\) do not broadcast"):
        info.kl_divergence(p.expand(2, 2), p.expand(3, 2))
