"""Entropy, cross entropy and divergence of densities.

    entropy        h(p)     = −∫ p(x) log p(x) dx              differential entropy: may be negative
    cross_entropy  h(p, q)  = −∫ p(x) log q(x) dx
    kl_divergence  KL(p‖q)  =  ∫ p(x) log(p(x) / q(x)) dx      = h(p, q) − h(p) ≥ 0

p, q are torch.distributions objects, over the same events, with batch shapes (…) that broadcast. (Discrete ones are
taken as well, by closed form or Monte Carlo; for probabilities see `crossentropy.information`.)

Cut the line into bins of width δ: a density p gives them probabilities ≈ p(x) δ, whose discrete entropy is
≈ h(p) − log δ and has no limit as δ → 0; h(p) is what it has beyond −log δ, and so depends on the unit of x. In the KL
divergence of two densities the two log δ cancel: it is the limit of the discrete one, and keeps its meaning.
docs/continuous.md has the derivation.

Each is an expectation under p, E_p[f(x)], found by the first of these that applies:

    closed form   torch has the formula, for p and q or what they are affine maps of: h(a + b X) = h(X) + log |b|
    quadrature    x is one real number: adaptive Gauss–Kronrod, with its error estimate
    monte carlo   the mean of f over samples of p, with its standard error

Coordinates that are independent, in p and in q, are one real number each, and add up. An angle, VonMises, has its
density in (−π, π), where torch draws it.

All are differentiable with respect to the parameters of p and q. Closed forms also work under torch.compile and vmap;
the other two look at numbers, which those hide, and take batches of distributions instead.

What numbers are too coarse to tell is refused: the logarithm of a density where x is rounded onto the end of a support.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor
from torch.distributions import ContinuousBernoulli, Distribution, TransformedDistribution, Uniform
from torch.distributions.kl import kl_divergence as _torch_kl_divergence

from crossentropy._density import (
    coordinates,
    exact,
    inside,
    is_composed,
    is_discrete,
    log_stretch,
    maps_differ,
    pulled_back,
    simplified,
    tensors_of,
)
from crossentropy._errors import ArgumentTypeError, ArgumentValueError, kind_of
from crossentropy._exports import Listing, listing
from crossentropy._quadrature import Integrand, quadrature
from crossentropy._values import readable
from crossentropy.information import Unit, per_nat

__all__ = ["Estimate", "cross_entropy", "entropy", "kl_divergence"]

Method: TypeAlias = Literal["closed form", "quadrature", "monte carlo"]

_METHODS = ("closed form", "quadrature", "monte carlo")


@dataclass(frozen=True)
class Estimate:
    """A quantity, how far off it may be, and how it was found.

    Args:
        value: The quantity, in p's batch shape.
        stderr: 0 for a closed form, the error estimate of a quadrature, the standard error of a Monte Carlo mean.
        method: "closed form", "quadrature" or "monte carlo".

    Examples:
        >>> normal = torch.distributions.Normal(0.0, 1.0)
        >>> print(entropy(normal))
        1.418939 (closed form)
    """

    value: Tensor
    stderr: Tensor
    method: Method

    def __str__(self) -> str:
        """The value with its error: "0.4431 ± 2e-12 (quadrature)"."""
        if self.value.dim():
            return f"{self.value.tolist()} ± {self.stderr.tolist()} ({self.method})"
        error = "" if self.method == "closed form" else f" ± {self.stderr.item():.1g}"
        return f"{self.value.item():.7g}{error} ({self.method})"

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, for JSON."""
        return {"value": self.value.tolist(), "stderr": self.stderr.tolist(), "method": self.method}


def entropy(p: Distribution, *, method: Method | None = None, unit: Unit = "nat", samples: int = 100_000) -> Estimate:
    """Differential entropy of a density.

        h(p) = −∫ p(x) log p(x) dx

    How spread out p is, on a logarithmic scale: it grows by log a when x is stretched by a, and is negative for a
    density concentrated on less than a unit interval.

    Args:
        p: A distribution.
        method: Force "closed form", "quadrature" or "monte carlo"; by default the first that applies.
        unit: "nat", "bit" or "hartley".
        samples: Number of samples for Monte Carlo, drawn from torch's global generator.

    Returns:
        An `Estimate`, its tensors in p's batch shape.

    Raises:
        ValueError: No method, or not the forced one, applies; a name is unknown; or `samples` is below 2.
        TypeError: p is not a distribution.

    Examples:
        >>> print(entropy(torch.distributions.Uniform(0.0, 0.5), unit="bit"))
        -1 (closed form)

    See Also:
        `crossentropy.information.entropy`, for discrete distributions.

    References:
        T. M. Cover and J. A. Thomas, Elements of Information Theory, chapter 8.
    """
    return _estimate(p, p, lambda p, _: _entropy(p), lambda log_p, _: -log_p, method, unit, samples)


def cross_entropy(
    p: Distribution, q: Distribution, *, method: Method | None = None, unit: Unit = "nat", samples: int = 100_000
) -> Estimate:
    """Cross entropy of a density q under the truth p.

        h(p, q) = −∫ p(x) log q(x) dx = h(p) + KL(p‖q)

    The expected negative log likelihood: what fitting q to samples of p by maximum likelihood minimises.

    Args:
        p: The true distribution.
        q: The believed distribution, over the same events.
        method: Force "closed form", "quadrature" or "monte carlo"; by default the first that applies.
        unit: "nat", "bit" or "hartley".
        samples: Number of samples for Monte Carlo, drawn from torch's global generator.

    Returns:
        An `Estimate`, its tensors in the batch shape; +inf where p has mass and q has none.

    Raises:
        ValueError: No method, or not the forced one, applies; the events differ or the batches do not broadcast; a name
            is unknown; or `samples` is below 2.
        TypeError: p or q is not a distribution, or one is discrete and the other continuous.

    Examples:
        >>> Normal = torch.distributions.Normal
        >>> print(cross_entropy(Normal(0.0, 1.0), Normal(1.0, 2.0)))
        1.862086 (closed form)

    See Also:
        `kl_divergence`, which differs from it by h(p).

    References:
        T. M. Cover and J. A. Thomas, Elements of Information Theory, chapter 8.
    """

    def closed_form(p: Distribution, q: Distribution) -> Tensor:
        return _entropy(p) + _torch_kl_divergence(p, q)

    return _estimate(p, q, closed_form, lambda _, log_q: -log_q, method, unit, samples)


def kl_divergence(
    p: Distribution, q: Distribution, *, method: Method | None = None, unit: Unit = "nat", samples: int = 100_000
) -> Estimate:
    """Kullback–Leibler divergence of a density q from p.

        KL(p‖q) = ∫ p(x) log(p(x) / q(x)) dx ≥ 0

    What believing q costs per sample of p. Unlike the entropies it does not depend on the unit in which x is measured.
    Infinite where p has mass and q has none, or where p's tails are too heavy for q.

    Args:
        p: The true distribution.
        q: The believed distribution, over the same events.
        method: Force "closed form", "quadrature" or "monte carlo"; by default the first that applies.
        unit: "nat", "bit" or "hartley".
        samples: Number of samples for Monte Carlo, drawn from torch's global generator.

    Returns:
        An `Estimate`, its tensors in the batch shape.

    Raises:
        ValueError: No method, or not the forced one, applies; the events differ or the batches do not broadcast; a name
            is unknown; or `samples` is below 2.
        TypeError: p or q is not a distribution, or one is discrete and the other continuous.

    Examples:
        >>> Normal = torch.distributions.Normal
        >>> print(kl_divergence(Normal(0.0, 1.0), Normal(1.0, 2.0)))
        0.4431472 (closed form)

    See Also:
        `crossentropy.information.kl_divergence`, for discrete distributions.

    References:
        S. Kullback and R. A. Leibler, On Information and Sufficiency, 1951.
    """
    return _estimate(p, q, _torch_kl_divergence, lambda log_p, log_q: log_p - log_q, method, unit, samples)


def _entropy(p: Distribution) -> Tensor:
    """Entropy by torch's formulae, under maps that stretch all places alike as well."""
    if type(p) is TransformedDistribution and (stretch := log_stretch(p)) is not None:
        return _entropy(p.base_dist) + stretch
    return p.entropy()


# --- choosing a method --------------------------------------------------------------------------------------------


def _estimate(
    p: Distribution,
    q: Distribution,
    closed_form: Callable[[Distribution, Distribution], Tensor],
    f: Integrand,
    method: Method | None,
    unit: Unit,
    samples: int,
) -> Estimate:
    _check(p, q, method, samples)
    scale, tensors = per_nat(unit), [*tensors_of(p), *tensors_of(q)]
    dtype, seen = _dtype(tensors), readable(*tensors, wait=True)
    p64, q64 = exact(p, q)
    p64, q64, axes = coordinates(simplified(p64), simplified(q64))

    def by_formula() -> tuple[Tensor, Tensor]:
        if (type(p64), type(q64)) in _WRONG_IN_TORCH:
            raise NotImplementedError("torch's is wrong")
        if maps_differ(p64, q64):
            raise NotImplementedError("the maps of p and q differ, or have parameters of their own")
        value = closed_form(p64, q64)
        return value, torch.zeros_like(value)

    def numerically(run: Callable[..., tuple[Tensor, Tensor]], *settings: int) -> tuple[Tensor, Tensor]:
        if not seen:
            raise NotImplementedError("it looks at numbers, which vmap and torch.compile hide: use a batch instead")
        return run(p64, q64, f, *settings)

    ways: tuple[tuple[Method, Callable[[], tuple[Tensor, Tensor]]], ...] = (
        ("closed form", by_formula),
        ("quadrature", lambda: numerically(quadrature)),
        ("monte carlo", lambda: numerically(_monte_carlo, samples)),
    )
    reasons = []
    for name, run in ways:
        if method not in (None, name):
            continue
        try:
            value, stderr = run()
        except NotImplementedError as reason:
            reasons.append(f"{name}: {str(reason) or 'torch has none'}")
            continue
        value, stderr = _summed(value, stderr.detach(), axes, name)
        return Estimate((value * scale).to(dtype), (stderr * scale).to(dtype), name)
    verdict = "no method applies" if method is None else f"method {method!r} does not apply"
    raise ArgumentValueError(f"{verdict} to {type(p).__name__} and {type(q).__name__} — {'; '.join(reasons)}")


def _summed(value: Tensor, stderr: Tensor, axes: int, method: Method) -> tuple[Tensor, Tensor]:
    """Sums over independent coordinates. Errors of samples add up by their squares, others at worst as they are."""
    if not axes:
        return value, stderr
    along = tuple(range(-axes, 0))
    return value.sum(along), stderr.norm(dim=along) if method == "monte carlo" else stderr.sum(along)


def _dtype(tensors: list[Tensor]) -> torch.dtype:
    """The dtype of a result: that of the parameters."""
    dtypes = [t.dtype for t in tensors if t.is_floating_point()]
    return functools.reduce(torch.promote_types, dtypes) if dtypes else torch.get_default_dtype()


_WRONG_IN_TORCH = {(ContinuousBernoulli, Uniform), (Uniform, ContinuousBernoulli)}  # gives inf on equal supports


def _check(p: Distribution, q: Distribution, method: str | None, samples: int) -> None:
    for name, distribution in (("p", p), ("q", q)):
        if not isinstance(distribution, Distribution):
            raise ArgumentTypeError(f"{name} is {kind_of(distribution)}, expected a torch.distributions.Distribution")
    if method is not None and method not in _METHODS:
        raise ArgumentValueError(f"method is {method!r}, expected one of {', '.join(map(repr, _METHODS))}, or None")
    if p.event_shape != q.event_shape:
        raise ArgumentValueError(f"p has events of shape {tuple(p.event_shape)} and q of shape {tuple(q.event_shape)}")
    try:
        torch.broadcast_shapes(p.batch_shape, q.batch_shape)
    except RuntimeError:
        shapes = f"p's {tuple(p.batch_shape)} and q's {tuple(q.batch_shape)}"
        raise ArgumentValueError(f"the batch shapes, {shapes}, do not broadcast") from None
    if not isinstance(samples, int) or samples < 2:
        raise ArgumentValueError(f"samples is {samples}, expected a whole number ≥ 2")
    for name, distribution in (("p", p), ("q", q)):
        if is_composed(distribution) and not all(t.bijective for t in distribution.transforms):
            raise ArgumentValueError(f"{name} has a transform that is not one-to-one: torch does not know its density")
        if isinstance(distribution, TransformedDistribution) and is_discrete(distribution.base_dist):
            raise ArgumentValueError(
                f"{name} maps a discrete distribution, of which torch makes a density: pass {name}.base_dist"
            )
    discrete = [is_discrete(d) for d in (p, q)]
    if discrete[0] != discrete[1]:
        kinds = ["discrete" if d else "continuous" for d in discrete]
        raise ArgumentTypeError(f"p is {kinds[0]} and q is {kinds[1]}: there is no divergence between them")


def _monte_carlo(p: Distribution, q: Distribution, f: Integrand, samples: int) -> tuple[Tensor, Tensor]:
    """Mean of f over samples of p, and its standard error."""
    batch, view = torch.broadcast_shapes(p.batch_shape, q.batch_shape), pulled_back(p, q)
    base = view.base if p.batch_shape == batch else view.base.expand(batch)
    z = base.rsample(torch.Size([samples])) if base.has_rsample else base.sample(torch.Size([samples]))
    log_base, log_p, log_q, w = view.log_probs(z)
    forbidden = ~inside(view.rest, w)
    if not is_discrete(base):
        _check_samples(z, w, log_p, torch.where(forbidden, 0.0, log_q))
    values = f(log_p, log_q)
    if not base.has_rsample:  # a factor of 1 whose gradient is that of the density from which z was drawn
        values = values * (log_base - log_base.detach()).exp()
    stderr = values.detach().std(0) / samples**0.5
    value = values.mean(0)
    return value, torch.where(value.isinf(), 0.0, stderr)


def _check_samples(z: Tensor, w: Tensor, log_p: Tensor, log_q: Tensor) -> None:
    """Refuse samples at which numbers are too coarse to tell their densities.

    No continuous variable takes a value twice. Where its least or its greatest is there twice, it was rounded to it.
    """
    for x in (z, w):
        least, greatest = x.amin(0), x.amax(0)
        onto = torch.maximum((x == least).sum(0), (x == greatest).sum(0)).where(least < greatest, 0)
        if bool((onto > 1).any()):
            raise NotImplementedError(f"{int(onto.max())} of {len(x)} samples are rounded onto an end of the support")
    lost = int((~(log_p.isfinite() & log_q.isfinite())).sum())
    if lost:
        raise NotImplementedError(f"the density of p or q over- or underflows at {lost} of the samples")


__dir__: Listing = listing(__name__)
