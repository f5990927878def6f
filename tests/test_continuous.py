"""Densities: closed forms, quadrature against closed forms and SciPy, Monte Carlo, infinities, gradients."""

import copy
import itertools
import json
import math

import pytest
import scipy.integrate
import scipy.special
import scipy.stats
import torch
from torch import Tensor, tensor
from torch.distributions import (
    AbsTransform,
    AffineTransform,
    Beta,
    Categorical,
    Cauchy,
    Chi2,
    ContinuousBernoulli,
    Distribution,
    Exponential,
    ExpTransform,
    Gamma,
    Gumbel,
    HalfCauchy,
    HalfNormal,
    Independent,
    InverseGamma,
    Kumaraswamy,
    Laplace,
    LogNormal,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    Pareto,
    Poisson,
    PowerTransform,
    SigmoidTransform,
    StudentT,
    TanhTransform,
    TransformedDistribution,
    Uniform,
    VonMises,
    Weibull,
)

from crossentropy import _quadrature, continuous


def f64(*values: float) -> Tensor:
    return tensor(values if len(values) > 1 else values[0], dtype=torch.float64)


def normal(loc: float, scale: float) -> Normal:
    return Normal(f64(loc), f64(scale))


def mixture(*parts: tuple[float, float, float]) -> MixtureSameFamily:
    """A mixture of normals (weight, loc, scale)."""
    weights, locs, scales = zip(*parts)
    return MixtureSameFamily(Categorical(f64(*weights)), Normal(f64(*locs), f64(*scales)))


UNIVARIATE: list[Distribution] = [
    normal(0.3, 2.0),
    Laplace(f64(-1.0), f64(0.5)),
    Cauchy(f64(0.0), f64(2.0)),
    StudentT(f64(3.0), f64(1.0), f64(2.0)),
    Gumbel(f64(0.5), f64(1.5)),
    Exponential(f64(0.7)),
    Gamma(f64(0.3), f64(2.0)),
    Gamma(f64(4.0), f64(0.5)),
    LogNormal(f64(0.0), f64(1.2)),
    Chi2(f64(5.0)),
    InverseGamma(f64(3.0), f64(1.0)),
    Weibull(f64(1.0), f64(0.8)),
    HalfNormal(f64(2.0)),
    HalfCauchy(f64(1.0)),
    Pareto(f64(1.0), f64(3.0)),
    Uniform(f64(-1.0), f64(2.0)),
    Beta(f64(0.7), f64(2.5)),
    Kumaraswamy(f64(2.0), f64(3.0)),
]


def name_of(value: object) -> str:
    return type(value).__name__


# --- known values -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [None, "closed form", "quadrature"])
def test_divergence_of_two_normals(method) -> None:
    result = continuous.kl_divergence(normal(0, 1), normal(1, 2), method=method)  # variance 4
    assert result.value.item() == pytest.approx(math.log(2) + (1 + 1) / 8 - 0.5, abs=1e-12)
    assert result.method == (method or "closed form")
    assert result.stderr.item() <= 1e-11


def test_a_mixture_against_a_normal_has_no_closed_form_and_is_integrated() -> None:
    p, q = mixture((0.3, -2.0, 0.5), (0.7, 3.0, 1.0)), normal(0.0, 2.0)
    result = continuous.kl_divergence(p, q)

    def integrand(x: float) -> float:
        log_p, log_q = p.log_prob(f64(x)).item(), q.log_prob(f64(x)).item()
        return math.exp(log_p) * (log_p - log_q)

    expected, _ = scipy.integrate.quad(integrand, -40, 40, points=[-2, 3], limit=500, epsabs=1e-12)
    assert result.method == "quadrature"
    assert result.value.item() == pytest.approx(expected, abs=1e-9)
    assert 0 < result.stderr.item() < 1e-9
    with pytest.raises(
        ValueError, match="'closed form' does not apply to MixtureSameFamily and Normal — closed form: No KL"
    ):
        continuous.kl_divergence(p, q, method="closed form")


def test_infinite_divergences_are_infinite_and_not_a_number() -> None:
    for p, q in (
        (Uniform(f64(0.0), f64(1.0)), Uniform(f64(2.0), f64(3.0))),  # disjoint
        (normal(0.0, 1.0), Exponential(f64(1.0))),  # mass below 0
        (Uniform(f64(0.0), f64(1.0)), Beta(f64(1.0), f64(1.0))),  # equal: see below
        (Cauchy(f64(0.0), f64(1.0)), normal(0.0, 1.0)),  # ∫ x² / (1 + x²) diverges
        (StudentT(f64(2.0)), normal(0.0, 1.0)),  # ∫ 1/x diverges
        (Exponential(f64(1.0)), InverseGamma(f64(2.0), f64(1.0))),  # ∫ 1/x diverges at 0
        (Uniform(f64(0.0), f64(4.0)), _two_intervals()),  # a gap inside
    ):
        expected = 0.0 if isinstance(q, Beta) else math.inf
        for method in (None, "quadrature"):
            result = continuous.kl_divergence(p, q, method=method)
            assert result.value.item() == pytest.approx(expected, abs=1e-9), (p, q)
            assert result.stderr.item() < 1e-9
    assert (
        continuous.kl_divergence(
            Uniform(f64(0.0), f64(1.0)), Uniform(f64(2.0), f64(3.0)), method="monte carlo"
        ).value.item()
        == math.inf
    )


def _two_intervals() -> MixtureSameFamily:
    return MixtureSameFamily(Categorical(f64(0.3, 0.7)), Uniform(f64(0.0, 3.0), f64(1.0, 4.0)))


def test_differential_entropy_is_negative_for_a_narrow_density() -> None:
    assert continuous.entropy(Uniform(0.0, 0.25), unit="bit").value.item() == -2


@pytest.mark.parametrize("df", [2.1, 3.0, 30.0])
def test_heavy_tails_against_the_second_moment(df: float) -> None:
    # h(p, N(0,1)) = ½ log 2π + ½ E x², and E x² = df / (df − 2), most of it very far out for df = 2.1
    result = continuous.cross_entropy(StudentT(f64(df)), normal(0.0, 1.0))
    expected = 0.5 * math.log(2 * math.pi) + 0.5 * df / (df - 2)
    assert abs(result.value.item() - expected) <= max(result.stderr.item(), 1e-10)


# --- quadrature against closed forms ------------------------------------------------------------------------------


@pytest.mark.parametrize("p", UNIVARIATE, ids=name_of)
def test_entropy_by_quadrature_equals_scipy(p: Distribution) -> None:
    result = continuous.entropy(p, method="quadrature")
    assert result.value.item() == pytest.approx(_scipy(p).entropy(), abs=1e-7)
    assert result.stderr.item() < 1e-7


def _scipy(p: Distribution):
    """The same distribution in SciPy, frozen."""
    a = {k: v.item() for k, v in vars(p).items() if isinstance(v, Tensor) and v.numel() == 1}
    s = scipy.stats
    match p:
        case Gamma():
            return s.gamma(p.concentration.item(), scale=1 / p.rate.item())
        case LogNormal():
            return s.lognorm(p.scale.item(), scale=math.exp(p.loc.item()))
        case InverseGamma():
            return s.invgamma(p.concentration.item(), scale=p.rate.item())
        case Weibull():
            return s.weibull_min(p.concentration.item(), scale=p.scale.item())
        case HalfNormal():
            return s.halfnorm(scale=p.scale.item())
        case HalfCauchy():
            return s.halfcauchy(scale=p.scale.item())
        case Pareto():
            return s.pareto(p.alpha.item(), scale=p.scale.item())
        case Beta():
            return s.beta(p.concentration1.item(), p.concentration0.item())
        case Uniform():
            return s.uniform(p.low.item(), p.high.item() - p.low.item())
        case Exponential():
            return s.expon(scale=1 / p.rate.item())
        case StudentT():
            return s.t(p.df.item(), p.loc.item(), p.scale.item())
        case Kumaraswamy():
            return _Kumaraswamy(p.concentration1.item(), p.concentration0.item())
        case Gumbel():
            return s.gumbel_r(p.loc.item(), p.scale.item())
    return {"Normal": s.norm, "Laplace": s.laplace, "Cauchy": s.cauchy}[type(p).__name__](a["loc"], a["scale"])


class _Kumaraswamy:
    """SciPy has none; its entropy in closed form, with the harmonic number H_b."""

    def __init__(self, a: float, b: float) -> None:
        self.a, self.b = a, b

    def entropy(self) -> float:
        harmonic = scipy.special.digamma(self.b + 1) - scipy.special.digamma(1)
        return (1 - 1 / self.b) + (1 - 1 / self.a) * harmonic - math.log(self.a * self.b)


def test_quadrature_agrees_with_every_closed_form_of_torch() -> None:
    compared = 0
    for p, q in itertools.product(UNIVARIATE, UNIVARIATE):
        try:
            closed = continuous.kl_divergence(p, q, method="closed form")
        except ValueError:
            continue
        numeric = continuous.kl_divergence(p, q, method="quadrature")
        assert numeric.value.item() == pytest.approx(closed.value.item(), rel=1e-7, abs=1e-7), (p, q)
        compared += 1
    assert compared >= 50


def test_narrow_far_and_shifted_densities() -> None:
    spikes = mixture((0.3, -2000.0, 1e-3), (0.7, 3.0, 1.0))
    parts = 0.3 * (0.5 * math.log(2 * math.pi * math.e) + math.log(1e-3)) + 0.7 * 0.5 * math.log(2 * math.pi * math.e)
    weights = -(0.3 * math.log(0.3) + 0.7 * math.log(0.7))
    assert continuous.entropy(spikes).value.item() == pytest.approx(parts + weights, abs=1e-9)
    far = Normal(1e6, 1e-3)  # float32: the numbers next to 1e6 are 0.06 apart
    for method in ("quadrature", "monte carlo"):
        h = continuous.entropy(far, method=method)
        assert h.value.item() == pytest.approx(far.entropy().item(), abs=max(5 * h.stderr.item(), 1e-5))
    shifted = TransformedDistribution(Exponential(f64(1.0)), [AffineTransform(1.0, -2.0)])  # supported below 1
    assert continuous.entropy(shifted).value.item() == pytest.approx(1 + math.log(2), abs=1e-9)
    lognormal = TransformedDistribution(normal(0.0, 1.2), [ExpTransform()])
    closed = continuous.entropy(LogNormal(f64(0.0), f64(1.2)))
    assert continuous.entropy(lognormal).value.item() == pytest.approx(closed.value.item(), abs=1e-9)


def test_the_rule_is_the_gauss_kronrod_rule() -> None:
    nodes = tensor(_quadrature._NODES, dtype=torch.float64)
    gauss_nodes, gauss_weights = scipy.special.roots_legendre(7)
    kept = [w for w in _quadrature._GAUSS if w]
    assert sorted(-nodes[1::2].numpy())[:4] == pytest.approx(sorted(gauss_nodes)[:4], abs=1e-15)
    assert kept == pytest.approx([*sorted(gauss_weights)[:6:2], max(gauss_weights)], abs=1e-15)
    for degree in range(23):  # the 15-point rule is exact up to degree 22
        integral, _, _ = _quadrature._gauss_kronrod(lambda x, d=degree: x[None] ** d, f64(-1.0, 1.0))
        assert integral.item() == pytest.approx((1 + (-1) ** degree) / (degree + 1), abs=2e-15)


# --- batches, Monte Carlo, gradients ------------------------------------------------------------------------------


def logistic() -> TransformedDistribution:
    return TransformedDistribution(Uniform(f64(0.0), f64(1.0)), [SigmoidTransform().inv, AffineTransform(0.0, 1.0)])


def sigmoid_normal() -> TransformedDistribution:
    return TransformedDistribution(normal(0.0, 1.0), [SigmoidTransform()])


@pytest.mark.parametrize(
    ("p", "q"),
    [
        (Exponential(f64(1.0)), Weibull(f64(1.0), f64(3.0))),  # log q underflows next to 0
        (HalfNormal(f64(1.0)), Weibull(f64(2.0), f64(3.0))),
        (Uniform(f64(0.0), f64(1.0)), sigmoid_normal()),  # the ends of q are images of infinity
        (normal(0.0, 1.0), logistic()),
        (logistic(), normal(0.0, 2.0)),
        (ContinuousBernoulli(f64(0.3)), Uniform(f64(0.0), f64(1.0))),  # torch's closed form is wrong
        (Uniform(f64(0.0), f64(1.0)), ContinuousBernoulli(f64(0.3))),
        (normal(0.0, 1.0), mixture((0.5, 0.0, 1.0), (0.5, 0.3, 1e-4))),  # the narrow peak is q's
        (mixture((1e-4, 5.0, 1e-3), (1 - 1e-4, 0.0, 1.0)), normal(0.0, 1.0)),
    ],
    ids=lambda d: type(d).__name__,
)
def test_hard_pairs_against_scipy(p: Distribution, q: Distribution) -> None:
    def integrand(x: float) -> float:
        log_p, log_q = (d.log_prob(f64(x)).item() for d in (p, q))
        return math.exp(log_p) * (log_p - log_q)

    lower, upper = (0.0, 1.0) if isinstance(p, (Uniform, ContinuousBernoulli)) else (-40.0, 40.0)
    lower = max(lower, 0.0) if isinstance(p, (Exponential, HalfNormal)) else lower
    near = [0.3 + k * 1e-4 for k in range(-6, 7)] + [5 + k * 1e-3 for k in range(-6, 7)]
    pieces = sorted({lower, upper, *(x for x in [-8.0, -2.0, 0.0, 2.0, 8.0, *near] if lower < x < upper)})
    inside = [(a + 1e-15, b - 1e-15) if 0.0 < upper <= 1.0 else (a, b) for a, b in itertools.pairwise(pieces)]
    expected = sum(scipy.integrate.quad(integrand, a + (a == 0) * 1e-15, b, limit=200)[0] for a, b in inside)
    result = continuous.kl_divergence(p, q)
    assert result.method == "quadrature"
    assert result.value.item() == pytest.approx(expected, abs=1e-7)
    assert result.stderr.item() < 1e-8


def test_what_cannot_be_resolved_is_left_to_monte_carlo() -> None:
    # q's density is steep beside 1, where 3e-5 of p is rounded to a number: E log q = … + 2 E log(1 − x²), by mpmath
    p, q = Beta(f64(0.3), f64(0.3)), Kumaraswamy(f64(2.0), f64(3.0))
    result = continuous.kl_divergence(p, q)
    assert result.method == "monte carlo"
    assert abs(result.value.item() - 4.309220130218547) < 5 * result.stderr.item() < 0.2
    with pytest.raises(ValueError, match=r"the density of p integrates to 0\.999.* instead of 1, as far as it is seen"):
        continuous.kl_divergence(p, q, method="quadrature")


# --- ends of supports, onto which numbers are rounded -------------------------------------------------------------


def squashed(loc: float | Tensor, scale: float | Tensor) -> TransformedDistribution:
    return TransformedDistribution(Normal(torch.as_tensor(loc), torch.as_tensor(scale)), [TanhTransform()])


def entropy_of_squashed(loc: float, scale: float) -> float:
    """h(tanh X) = h(X) + E log(1 − tanh² X), the last = 2 (log 2 − |x| − log(1 + exp(−2 |x|)))."""
    inner = scipy.stats.norm(loc, scale)
    slope = inner.expect(lambda x: 2 * (math.log(2) - abs(x) - math.log1p(math.exp(-2 * abs(x)))))
    return inner.entropy() + slope


@pytest.mark.parametrize(("loc", "scale"), [(0.0, 5.0), (0.0, 10.0), (20.0, 1.0)])
def test_maps_that_round_to_the_end_of_their_interval(loc: float, scale: float) -> None:
    p, expected = squashed(f64(loc), f64(scale)), entropy_of_squashed(loc, scale)
    for result, value in (
        (continuous.entropy(p), expected),
        (continuous.kl_divergence(p, Uniform(f64(-1.0), f64(1.0))), math.log(2) - expected),
    ):
        assert result.method == "quadrature"
        assert result.value.item() == pytest.approx(value, abs=1e-7)
        assert result.stderr.item() < 1e-9
    sampled = continuous.entropy(p, method="monte carlo", samples=20_000)
    assert abs(sampled.value.item() - expected) < 5 * sampled.stderr.item() < 1


def test_correlated_actions_that_saturate() -> None:
    # with a diagonal covariance the sum over coordinates is known
    base = MultivariateNormal(f64(0.0, 20.0), torch.diag(f64(25.0, 1.0)))
    result = continuous.entropy(mapped(base, TanhTransform()), samples=20_000)
    assert result.method == "monte carlo"
    expected = entropy_of_squashed(0.0, 5.0) + entropy_of_squashed(20.0, 1.0)
    assert abs(result.value.item() - expected) < 5 * result.stderr.item() < 1


@pytest.mark.parametrize("a", [0.3, 0.1])
def test_exponentials_of_variables_next_to_zero(a: float) -> None:
    # h(exp X) = h(X) + E X
    result = continuous.entropy(mapped(Gamma(f64(a), f64(1.0)), ExpTransform()))
    expected = scipy.stats.gamma(a).entropy() + a
    assert abs(result.value.item() - expected) <= max(2 * result.stderr.item(), 1e-9)
    assert result.stderr.item() < 1e-9


@pytest.mark.parametrize("a", [0.02, 0.1, 0.3])
def test_beta_densities_next_to_one(a: float) -> None:
    p = Beta(f64(a), f64(a))
    low, high = (scipy.stats.beta(a + 1, a).cdf(0.3), scipy.stats.beta(a, a).cdf(0.3))
    distance = 0.3 * (2 * high - 1) + 0.5 * (1 - 2 * low)  # E |x − 0.3|
    result = continuous.kl_divergence(p, Laplace(f64(0.3), f64(1.5)))
    expected = math.log(3) + distance / 1.5 - scipy.stats.beta(a, a).entropy()
    assert result.value.item() == pytest.approx(expected, abs=1e-8)
    assert result.stderr.item() < 1e-9
    logit_normal = continuous.kl_divergence(p, sigmoid_normal())  # E y² = 2 ψ′(a), E log σ(±y) = ψ(a) − ψ(2a)
    moments = scipy.special.polygamma(1, a) + 0.5 * math.log(2 * math.pi)
    moments += 2 * (scipy.special.digamma(a) - scipy.special.digamma(2 * a)) - scipy.stats.beta(a, a).entropy()
    assert logit_normal.value.item() == pytest.approx(moments, rel=1e-9)


def test_an_infinite_divergence_is_not_minus_infinity() -> None:
    for a in (0.02, 0.01):
        result = continuous.kl_divergence(Gamma(f64(a), f64(1.0)), InverseGamma(f64(2.0), f64(1.0)))
        assert result.value.item() == math.inf
    overflow = mapped(Uniform(f64(0.0), f64(1.0)), SigmoidTransform().inv, AffineTransform(0.0, 1.0))
    assert continuous.kl_divergence(overflow, Gumbel(f64(0.0), f64(1.0))).value.item() == math.inf


@pytest.mark.parametrize(
    ("p", "q"),
    [
        (Gamma(f64(0.005), f64(1.0)), LogNormal(f64(0.0), f64(1.0))),  # 3 % of the samples are below 1e-308
        (Gamma(f64(0.005), f64(1.0)), InverseGamma(f64(2.0), f64(1.0))),
        (Beta(f64(0.02), f64(0.02)), Kumaraswamy(f64(2.0), f64(3.0))),  # a quarter of them is 1, and q is steep there
        (Kumaraswamy(f64(2.0), f64(0.05)), Laplace(f64(0.3), f64(1.5))),
    ],
    ids=lambda d: type(d).__name__,
)
def test_samples_that_are_rounded_to_an_end_are_refused(p: Distribution, q: Distribution) -> None:
    with pytest.raises(ValueError, match=r"monte carlo: \d+ of 100000 samples are rounded onto an end of the support"):
        continuous.kl_divergence(p, q)


def test_transforms_that_are_not_one_to_one_are_refused() -> None:
    folded = TransformedDistribution(normal(1.0, 1.0), [AbsTransform()])
    with pytest.raises(ValueError, match="q has a transform that is not one-to-one"):
        continuous.kl_divergence(normal(0.0, 1.0), folded)


def test_batches_are_computed_entry_by_entry() -> None:
    locs, scales = f64(0.0, 1.0, -3.0), f64(1.0, 0.1, 1e-5)
    result = continuous.kl_divergence(Laplace(locs, scales), Cauchy(f64(0.0), f64(1.0)))
    assert result.method == "quadrature"
    assert result.value.shape == result.stderr.shape == (3,)
    for i in range(3):
        single = continuous.kl_divergence(Laplace(locs[i], scales[i]), Cauchy(f64(0.0), f64(1.0)))
        assert result.value[i].item() == pytest.approx(single.value.item(), abs=1e-9)
    swapped = continuous.kl_divergence(Cauchy(f64(0.0), f64(1.0)), Laplace(locs[:, None], f64(1.0, 2.0)))
    assert swapped.value.shape == (3, 2)


@pytest.mark.parametrize("parts", [2, 3])
def test_a_mixture_broadcasts_against_a_batch(parts: int) -> None:
    p = mixture(*((1 / parts, 3.0 * k, 0.5 + k) for k in range(parts)))
    scales = f64(1.0, 2.0, 3.0)
    forward = continuous.kl_divergence(p, Normal(f64(0.0), scales))
    backward = continuous.kl_divergence(Normal(f64(0.0), scales), p)
    for i in range(3):
        q = Normal(f64(0.0), scales[i])
        assert forward.value[i].item() == pytest.approx(continuous.kl_divergence(p, q).value.item(), abs=1e-9)
        assert backward.value[i].item() == pytest.approx(continuous.kl_divergence(q, p).value.item(), abs=1e-9)


@pytest.mark.parametrize(
    ("p", "q"),
    [
        (mixture((0.3, -2.0, 0.5), (0.7, 3.0, 1.0)), normal(0.0, 2.0)),
        (normal(0.0, 1.0), Laplace(f64(0.0), f64(1.0))),
        (Gamma(f64(2.0), f64(1.0)), LogNormal(f64(0.0), f64(1.0))),
        (VonMises(f64(0.0), f64(1.0)), VonMises(f64(1.0), f64(2.0))),
    ],
    ids=lambda d: type(d).__name__,
)
def test_monte_carlo_is_within_its_standard_error(p: Distribution, q: Distribution) -> None:
    # 5 standard errors: a chance of 6e-7 for each comparison, and the seed is fixed
    estimate = continuous.kl_divergence(p, q, method="monte carlo", samples=20_000)
    again = continuous.kl_divergence(p, q, method="monte carlo", samples=200_000)
    slack = 5 * (estimate.stderr + again.stderr).item()
    assert abs(estimate.value - again.value).item() <= slack
    assert abs(estimate.value - continuous.kl_divergence(p, q).value).item() <= slack
    assert again.stderr.item() == pytest.approx(estimate.stderr.item() / 10**0.5, rel=0.2)


def test_several_dimensions_use_monte_carlo_unless_there_is_a_closed_form() -> None:
    p = MultivariateNormal(torch.zeros(3), torch.eye(3))
    q = MultivariateNormal(torch.ones(3), torch.eye(3))
    assert continuous.kl_divergence(p, q).value.item() == pytest.approx(1.5)
    heavy = Independent(StudentT(torch.full((3,), 5.0)), 1)
    estimate = continuous.kl_divergence(p, heavy)
    one = continuous.kl_divergence(Normal(0.0, 1.0), StudentT(torch.tensor(5.0)))
    assert estimate.method == "monte carlo"
    assert abs(estimate.value - 3 * one.value).item() < 5 * estimate.stderr.item()
    with pytest.raises(ValueError, match="single real numbers"):
        continuous.kl_divergence(p, heavy, method="quadrature")


# --- fewer parts --------------------------------------------------------------------------------------------------


def mapped(base: Distribution, *transforms) -> TransformedDistribution:
    return TransformedDistribution(base, list(transforms))


def check_closed(result: continuous.Estimate, expected: float) -> None:
    assert result.method == "closed form"
    assert result.value.item() == pytest.approx(expected, abs=1e-12)


def test_an_angle_is_integrated_over_its_period() -> None:
    # of von Mises distributions everything is known: log of the normaliser, and E cos(x − μ) = I₁(κ) / I₀(κ)
    def log_z(k: float) -> float:
        return math.log(2 * math.pi * scipy.special.i0(k))

    ratio = scipy.special.i1(2.0) / scipy.special.i0(2.0)
    p, q = VonMises(f64(3.0), f64(2.0)), VonMises(f64(-1.0), f64(0.7))  # the period begins far from the mean, too
    entropy, divergence = continuous.entropy(p), continuous.kl_divergence(p, q)
    for result, expected in (
        (entropy, log_z(2.0) - 2 * ratio),
        (divergence, log_z(0.7) - log_z(2.0) + ratio * (2 - 0.7 * math.cos(4.0))),
    ):
        assert result.method == "quadrature"
        assert abs(result.value.item() - expected) <= result.stderr.item() < 5e-6  # torch's normaliser has 7 digits
    turned = continuous.entropy(mapped(p, AffineTransform(0.0, 180 / math.pi)))
    assert turned.value.item() == pytest.approx(entropy.value.item() + math.log(180 / math.pi), abs=1e-6)
    assert continuous.kl_divergence(normal(0.0, 1.0), p).value == math.inf  # which has mass beyond the period


def test_affine_maps_are_closed_forms() -> None:
    a, b = f64(1.0), f64(-3.0)
    gumbel = math.log(1.5) + 1 + 0.5772156649015329
    check_closed(continuous.entropy(mapped(Gumbel(f64(0.5), f64(1.5)), AffineTransform(a, b))), gumbel + math.log(3))
    inverse = AffineTransform(a, b).inv
    check_closed(continuous.entropy(mapped(Gumbel(f64(0.5), f64(1.5)), inverse)), gumbel - math.log(3))
    p, q = mapped(normal(0.3, 2.0), AffineTransform(a, b)), mapped(normal(0.0, 1.0), inverse, AffineTransform(a, b))
    check_closed(continuous.kl_divergence(p, normal(1.0, 6.0)), 0.5 * (0.9 / 6.0) ** 2)
    check_closed(continuous.kl_divergence(q, normal(0.0, 1.0)), 0.0)
    check_closed(continuous.cross_entropy(q, q), 0.5 * math.log(2 * math.pi * math.e))
    for family in (Laplace, Cauchy):
        check_closed(
            continuous.kl_divergence(mapped(family(f64(0.0), f64(1.0)), AffineTransform(a, b)), family(a, -b)), 0
        )
    student = mapped(StudentT(f64(3.0)), AffineTransform(a, b))
    check_closed(continuous.entropy(student), scipy.stats.t(3.0, 1.0, 3.0).entropy())
    exponential = mapped(normal(0.3, 2.0), ExpTransform())
    check_closed(continuous.kl_divergence(exponential, LogNormal(f64(0.3), f64(2.0))), 0.0)


def test_affine_maps_of_vectors_are_closed_forms() -> None:
    tril = tensor([[1.0, 0.0], [0.5, 2.0]], dtype=torch.float64)
    base, a, b = MultivariateNormal(f64(1.0, 2.0), scale_tril=tril), f64(0.5, 1.0), f64(-2.0, 3.0)
    p = mapped(base, AffineTransform(a, b, event_dim=1))
    covariance = b[:, None] * base.covariance_matrix * b
    same = MultivariateNormal(a + b * base.loc, covariance)
    check_closed(continuous.kl_divergence(p, same), 0.0)
    check_closed(continuous.entropy(p), 0.5 * (2 * math.log(2 * math.pi * math.e) + covariance.logdet().item()))


def test_independent_coordinates_add_up() -> None:
    squashed = mapped(Independent(Normal(f64(0.3, -1.0, 0.0), f64(1.0, 0.5, 2.0)), 1), TanhTransform())  # a policy
    expected = 0.0
    for loc, scale in ((0.3, 1.0), (-1.0, 0.5), (0.0, 2.0)):
        # log(1 − tanh² x) = 2 (log 2 − |x| − log(1 + exp(−2 |x|)))
        inner = scipy.stats.norm(loc, scale)
        slope = inner.expect(lambda x: 2 * (math.log(2) - abs(x) - math.log1p(math.exp(-2 * abs(x)))))
        expected += inner.entropy() + slope
    result = continuous.entropy(squashed)
    assert result.method == "quadrature"
    assert result.value.item() == pytest.approx(expected, abs=1e-8)

    heavy = Independent(StudentT(f64(5.0).expand(4, 3), f64(0.0), f64(1.0, 2.0, 3.0)), 1)
    light = Independent(Normal(torch.zeros(3).double(), 1.0), 1)
    result = continuous.kl_divergence(heavy, light)
    assert result.method == "quadrature"
    assert result.value.shape == result.stderr.shape == (4,)
    each = sum(
        continuous.kl_divergence(StudentT(f64(5.0), f64(0.0), f64(s)), normal(0.0, 1.0)).value for s in (1, 2, 3)
    )
    assert result.value[0].item() == pytest.approx(each.item(), abs=1e-9)
    by_samples = continuous.kl_divergence(light, heavy, method="monte carlo", samples=50_000)
    exact = continuous.kl_divergence(light, heavy)
    assert bool(((by_samples.value - exact.value).abs() < 5 * by_samples.stderr).all())

    nested = Independent(mapped(Laplace(f64(0.1, 0.2), f64(1.0, 2.0)), AffineTransform(0.0, f64(2.0, 5.0))), 1)
    check_closed(continuous.entropy(nested), 2 * (1 + math.log(2)) + math.log(1 * 2) + math.log(2 * 5))


def test_scales_of_maps_have_gradients() -> None:
    def entropy(b: Tensor) -> Tensor:
        return continuous.entropy(mapped(Gumbel(f64(0.5), f64(1.5)), AffineTransform(0.0, b))).value

    def divergence(b: Tensor) -> Tensor:
        p = mapped(normal(0.5, 1.5), AffineTransform(0.0, b))
        return continuous.kl_divergence(p, normal(0.0, 1.0)).value

    assert torch.autograd.gradcheck(entropy, f64(-2.0).requires_grad_())
    assert torch.autograd.gradcheck(divergence, f64(-2.0).requires_grad_())


def test_quadrature_is_differentiable_in_all_parameters() -> None:
    def kl(loc: Tensor, scale: Tensor, q_loc: Tensor, q_scale: Tensor) -> Tensor:
        return continuous.kl_divergence(Normal(loc, scale), Laplace(q_loc, q_scale), method="quadrature").value

    assert torch.autograd.gradcheck(kl, [f64(x).requires_grad_() for x in (0.3, 1.2, -0.5, 0.8)], atol=1e-6)

    def from_uniform(low: Tensor, high: Tensor) -> Tensor:  # the ends of the support move
        return continuous.cross_entropy(Uniform(low, high), normal(0.0, 1.0), method="quadrature").value

    assert torch.autograd.gradcheck(from_uniform, [f64(x).requires_grad_() for x in (-0.5, 2.0)], atol=1e-6)


@pytest.mark.parametrize(
    "quantity",
    [
        lambda s: continuous.entropy(squashed(f64(0.2), s)),
        lambda s: continuous.entropy(squashed(s, f64(5.0))),
        lambda s: continuous.kl_divergence(squashed(f64(0.0), s), Uniform(f64(-1.0), f64(1.0))),
        lambda s: continuous.cross_entropy(Uniform(f64(-1.0), f64(1.0)), squashed(f64(0.0), s)),
        lambda s: continuous.kl_divergence(Weibull(s, f64(2.0)), Gamma(f64(2.0), f64(1.0))),
        lambda s: continuous.kl_divergence(Gamma(f64(2.0), f64(1.0)), Weibull(s, f64(2.0))),
        lambda s: continuous.kl_divergence(Weibull(f64(1.0), s), Weibull(s, f64(2.0)), method="quadrature"),
        lambda s: continuous.kl_divergence(Gumbel(f64(0.0), s), Laplace(f64(0.0), f64(1.0))),
        lambda s: continuous.kl_divergence(Kumaraswamy(s, f64(2.0)), Beta(f64(2.0), f64(2.0))),
        lambda s: continuous.kl_divergence(Beta(s, f64(2.0)), Kumaraswamy(s, f64(2.0))),
        lambda s: continuous.entropy(mapped(Uniform(f64(0.0), f64(1.0)), PowerTransform(s))),
    ],
)
def test_gradients_are_finite_where_densities_underflow(quantity) -> None:
    assert torch.autograd.gradcheck(lambda s: quantity(s).value, f64(1.3).requires_grad_(), atol=1e-6)


def test_equal_parameters_of_maps_have_gradients_of_their_own() -> None:
    # KL(X^a‖Y^b) depends on b / a alone: the derivatives are opposite. torch compares numbers, and has none
    a, b = f64(2.0).requires_grad_(), f64(2.0).requires_grad_()
    p, q = (mapped(Gamma(f64(k), f64(1.0)), PowerTransform(x)) for k, x in ((2.0, a), (3.0, b)))
    grads = torch.autograd.grad(continuous.kl_divergence(p, q).value, [a, b])
    step = 1e-5
    moved = [mapped(Gamma(f64(3.0), f64(1.0)), PowerTransform(f64(2.0 + d))) for d in (step, -step)]
    up, down = (continuous.kl_divergence(p, other).value.item() for other in moved)
    expected = (up - down) / (2 * step)
    assert [g.item() for g in grads] == pytest.approx([-expected, expected], rel=1e-6)
    shared = mapped(Gamma(f64(3.0), f64(1.0)), *p.transforms)
    assert continuous.kl_divergence(p, shared).method == "closed form"


def test_monte_carlo_gradients_are_those_of_the_expectation() -> None:
    weight = f64(0.3).requires_grad_()
    locs = f64(-2.0, 3.0).requires_grad_()

    def kl(method: str | None) -> Tensor:
        p = MixtureSameFamily(Categorical(torch.stack([weight, 1 - weight])), Normal(locs, f64(0.5, 1.0)))
        return continuous.kl_divergence(p, normal(0.0, 2.0), method=method, samples=400_000).value

    exact = torch.autograd.grad(kl("quadrature"), (weight, locs))
    sampled = torch.autograd.grad(kl("monte carlo"), (weight, locs))
    for a, b in zip(exact, sampled):
        torch.testing.assert_close(a, b, rtol=0.03, atol=0.03)


def copies_are_compiled() -> bool:
    """Whether the compiler follows copy.copy, which that of torch 2.10 does not."""
    p = normal(0.0, 1.0)
    try:
        torch.compile(lambda x: x + copy.copy(p).loc, fullgraph=True, backend="eager")(f64(1.0))
    except torch._dynamo.exc.Unsupported:
        return False
    return True


def test_closed_forms_work_under_compile_and_vmap_and_the_others_say_what_to_do() -> None:
    def kl(loc: Tensor, scale: Tensor, method: str | None = None) -> Tensor:
        p = Normal(loc, scale, validate_args=False)
        return continuous.kl_divergence(p, Normal(0.5, 2.0, validate_args=False), method=method, unit="bit").value

    locs, scales = f64(0.0, 1.0, 2.0), f64(1.0, 2.0, 3.0)
    expected = kl(locs, scales)
    torch.testing.assert_close(torch.func.vmap(kl)(locs, scales), expected)
    compiled = torch.compile(kl, fullgraph=copies_are_compiled(), backend="aot_eager")
    torch.testing.assert_close(compiled(locs, scales), expected)
    with pytest.raises(ValueError, match=r"which vmap and .* hide: use a batch instead"):
        torch.func.vmap(lambda a, b: kl(a, b, "quadrature"))(locs, scales)


def test_half_precision_parameters() -> None:
    p, q = Normal(torch.zeros((), dtype=torch.float16), 1.0), Laplace(torch.zeros((), dtype=torch.float16), 1.0)
    result = continuous.kl_divergence(p, q)
    assert result.value.dtype == torch.float16
    expected = continuous.kl_divergence(normal(0.0, 1.0), Laplace(f64(0.0), f64(1.0)))
    assert result.value.item() == pytest.approx(expected.value.item(), rel=2**-11)


def test_the_global_generator_is_left_alone_by_quadrature() -> None:
    seed, before = torch.initial_seed(), torch.get_rng_state()
    continuous.kl_divergence(normal(0.0, 1.0), Laplace(f64(0.0), f64(1.0)), method="quadrature")
    assert torch.equal(before, torch.get_rng_state())
    assert torch.initial_seed() == seed


# --- results and errors -------------------------------------------------------------------------------------------


def test_estimates_can_be_read_and_stored() -> None:
    result = continuous.kl_divergence(Normal(0.0, 1.0), Laplace(0.0, 1.0), method="quadrature", unit="bit")
    assert str(result).endswith("(quadrature)")
    assert " ± " in str(result)
    assert json.loads(json.dumps(result.to_dict()))["method"] == "quadrature"
    assert result.value.dtype == torch.float32
    batch = continuous.entropy(Normal(torch.zeros(2), torch.ones(2)))
    assert str(batch).count("1.4189") == 2


def test_wrong_arguments() -> None:
    p = Normal(0.0, 1.0)
    with pytest.raises(TypeError, match=r"q is a Tensor, expected a torch\.distributions\.Distribution"):
        continuous.kl_divergence(p, torch.zeros(3))
    with pytest.raises(ValueError, match="method is 'exact', expected one of 'closed form'"):
        continuous.entropy(p, method="exact")
    with pytest.raises(ValueError, match=r"p has events of shape \(\) and q of shape \(3,\)"):
        continuous.kl_divergence(p, MultivariateNormal(torch.zeros(3), torch.eye(3)))
    with pytest.raises(TypeError, match="p is continuous and q is discrete"):
        continuous.kl_divergence(p, Poisson(1.0))
    with pytest.raises(ValueError, match=r"batch shapes, p's \(2,\) and q's \(3,\), do not broadcast"):
        continuous.kl_divergence(Normal(torch.zeros(2), 1.0), Normal(torch.zeros(3), 1.0))
    with pytest.raises(ValueError, match="p maps a discrete distribution"):
        continuous.entropy(mapped(Poisson(3.0), AffineTransform(0.0, 2.0)))
    for samples in (1, 0, -1, 1.5):
        with pytest.raises(ValueError, match="samples is"):
            continuous.entropy(p, samples=samples)
    with pytest.raises(ValueError, match="unit is 'byte'"):
        continuous.entropy(p, unit="byte")
