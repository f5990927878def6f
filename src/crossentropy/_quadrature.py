"""Expectations under a density of one real variable, by adaptive quadrature.

    E_p[f] = ∫ p(x) f(x) dx = ∫ p f (x(v)) dx/dv dv        v in a bounded interval, see `_Axis`

Of p = T(z), a map of another variable, the integral is over z, whose density p dx/dz is known even where x is rounded
onto an end of the support. Below p is that density, and x its variable.

1. Panels: a grid in v, cut at quantiles and ends of p, of q and of the components of mixtures.
2. Gauss–Kronrod on every panel; halve the panels whose error is too large, all at once, until none is.
3. The integral once more on the final panels, with gradients: the nodes move with the ends of the support and are
   otherwise fixed.

Reported rather than hidden: the error estimate includes what lies beyond the cut tails and the mass of p that the
nodes did not see; an integral that diverges, or mass of p where q has none, gives inf; a density of p that does not
integrate to 1, or one of q that over- or underflows where p has mass, raises NotImplementedError.

P panels · E = P + 1 edges · (…) the batch shape of p and q.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

import torch
from torch import Tensor
from torch.distributions import ComposeTransform, Distribution, Transform, biject_to, constraints

from crossentropy._density import (
    PulledBack,
    inside,
    is_composed,
    is_discrete,
    is_mixture,
    log_prob,
    pulled_back,
    samples_of,
    support_of,
)

Integrand: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""f as a function of log p(x) and log q(x)."""


# The 15-point Gauss–Kronrod rule on [−1, 1] and the 7-point Gauss rule on every second of its nodes; the difference
# of the two estimates the error. Nodes ≥ 0, from the outermost to 0. R. Piessens et al., QUADPACK, 1983.
_NODES = (
    0.991455371120812639206854697526329, 0.949107912342758524526189684047851, 0.864864423359769072789712788640926,
    0.741531185599394439863864773280788, 0.586087235467691130294144838258730, 0.405845151377397166906606412076961,
    0.207784955007898467600689403773245, 0.0,
)  # fmt: skip
_KRONROD = (
    0.022935322010529224963732008058970, 0.063092092629978553290700663189204, 0.104790010322250183839876322541518,
    0.140653259715525918745189590510238, 0.169004726639267902826583426598550, 0.190350578064785409913256402421014,
    0.204432940075298892414161999234649, 0.209482141084727828012999174891714,
)  # fmt: skip
_GAUSS = (
    0.0, 0.129484966168869693270611432679082, 0.0, 0.279705391489276667901467771423780,
    0.0, 0.381830050505118944950369775488975, 0.0, 0.417959183673469387755102040816327,
)  # fmt: skip

_REAL = torch.finfo(torch.float64)
_FAR = 1e130, 300.0  # where the axis is cut: in x on the whole line (x² must not overflow), in log x next to a bound
_TOLERANCE = 1e-11  # of the error, relative to the integral of the absolute value
_MASS_TOLERANCE = 1e-5  # how far from 1 the density may integrate: parameters in float32 are rounded to 1e-7
_LEVELS = 32  # quantiles of a distribution at which panels are cut
_ROUNDS, _MOST_PANELS = 40, 4096


def quadrature(p: Distribution, q: Distribution, f: Integrand) -> tuple[Tensor, Tensor]:
    """E_p[f] over one real variable, and an estimate of its error."""
    if p.event_shape or is_discrete(p):
        raise NotImplementedError("it needs events that are single real numbers")
    view = pulled_back(p, q)
    axis = _Axis(view, torch.broadcast_shapes(p.batch_shape, q.batch_shape))
    at = _Integrands(view, f, axis)
    with torch.no_grad():
        edges = _refined(at, axis.edges())
        diverges, tail = _tails(at, axis.end)
        greatest = at.check_resolved(edges, diverges)
    totals, errors, _ = _gauss_kronrod(at, edges)
    (value, mass, forbidden), (error, _, _) = totals.sum(1), errors.sum(1).detach()

    (lower, upper), (q_lower, q_upper) = axis.image, _bounds(view.rest)
    outside = (forbidden > 0) | (lower < q_lower) | (upper > q_upper)
    infinity = torch.where(outside, torch.inf, diverges)
    missing = (mass - 1).abs()
    beyond_doubt = outside | ((diverges != 0) & (value.abs() > 1e30))  # whatever p does where it is not seen
    if not bool(((missing < _MASS_TOLERANCE) | beyond_doubt).all()):
        raise NotImplementedError(f"the density of p integrates to {mass.tolist()} instead of 1, as far as it is seen")
    # What is missing between two ends, where densities are powers, is beside one, and f there as it is last seen.
    unseen = torch.where(axis.lower.isfinite() & axis.upper.isfinite(), greatest, value.detach().abs())
    error = error + tail + missing * unseen - torch.xlogy(missing, missing)  # mass δ: about log 1/δ
    return torch.where(infinity == 0, value, infinity), torch.where(infinity == 0, error, 0.0)


@dataclass(frozen=True)
class _Integrands:
    """What is integrated over v: p f where f is finite, p, and p where q has no mass; each times dx/dv."""

    view: PulledBack
    f: Integrand
    axis: "_Axis"

    def __call__(self, v: Tensor) -> Tensor:
        with torch.no_grad():
            log_density, value, forbidden = self.parts(v)
            density = log_density.exp()
            weight = (density * (1 + value.abs())).where(value.isfinite(), 0.0)
            used = weight > 1e-100 * weight.amax(0)
        share = density * value
        if torch.is_grad_enabled():  # at the other nodes, next to denormal numbers, derivatives are inf, and 0·inf nan
            harmless = v.gather(0, weight.argmax(0, keepdim=True))
            log_density, value, _ = self.parts(torch.where(used, v, harmless))
            share = log_density.exp() * value
        return torch.stack([torch.where(used, share, 0.0), density, torch.where(forbidden, density, 0.0)])

    def parts(self, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """log(p dx/dv), f, and whether p has mass where q has none. Far out p underflows where p dx/dv does not."""
        x, log_dx = self.axis.x(v)
        log_density, log_p, log_q, w = self.view.log_probs(x, self.axis.within)
        present = log_density.isfinite() & ~self.unknown(w)
        log_density = torch.where(present, log_density + log_dx, -torch.inf)
        value = self.f(torch.where(present, log_p, 0.0), torch.where(present, log_q, 0.0))
        return log_density, value, present & ~inside(self.view.rest, w)

    def unknown(self, w: Tensor) -> Tensor:
        """Whether w was rounded onto an end of its interval, or kept from it by torch, where q's density is steep."""
        rounded = torch.zeros_like(w, dtype=torch.bool)
        if not self.view.inner:
            return rounded
        for end in self.axis.image:
            rounded = rounded | w.isinf() | ((w - end).abs() < 8 * (_REAL.eps * end.abs() + _REAL.tiny))
        if not bool(rounded.any()):
            return rounded
        with torch.no_grad():
            here, aside = (log_prob(self.view.rest, w + step * (self.axis.middle - w)) for step in (0.0, 1e-9))
            return rounded & ~((here - aside).abs() < 1e-6)

    def check_resolved(self, edges: Tensor, diverges: Tensor) -> Tensor:
        """The greatest |f|. Refuses one that over- or underflows inside q's support, unless p f has vanished before."""
        v = _nodes(edges).transpose(0, 1).flatten(0, 1)  # ascending
        log_density, value, forbidden = self.parts(v)
        lost = (log_density > -torch.inf) & ~value.isfinite() & ~forbidden
        seen = value.abs().where(value.isfinite() & (log_density > -torch.inf), 0.0)
        size = log_density.exp() * seen
        beside = torch.zeros_like(lost)
        beside[1:] |= lost[:-1]
        beside[:-1] |= lost[1:]
        unseen = (beside & (size > 1e-9 * size.amax(0))).any(0) & ~forbidden.any(0) & (diverges == 0)
        if bool(unseen.any()):
            raise NotImplementedError("the density of q over- or underflows where p has mass")
        return seen.amax(0)


class _Axis:
    """The support of p as a function x(v) of a coordinate v in [−end, end] that resolves its tails and its ends.

    x = bijection(c + s sinh sinh v), where torch's bijection from the real line onto the support is the identity on
    the whole line, exponential next to one bound and sigmoid between two; c and s are the median and the spread of p
    before it. What is algebraic in x, a heavy tail or a singularity at an end, is then exponential in sinh v.
    """

    def __init__(self, view: PulledBack, batch: torch.Size) -> None:
        if 0 in batch:
            raise NotImplementedError("the batch is empty")
        self.inner, ends = view.inner, _bounds(view.base)
        self.lower, self.upper = (bound.expand(batch) for bound in ends)
        with torch.no_grad():
            lower, upper = self.image = _images(self.inner, ends)
            first, last = lower.nextafter(upper), upper.nextafter(lower)
        self.within = first.where(lower.isfinite(), lower), last.where(upper.isfinite(), upper)
        support, self.far = _interval(self.lower, self.upper)
        self.bijection = biject_to(support)
        with torch.no_grad():
            own, *others = (self._landmarks(*part) for part in _parts(view.base))
            others += [self._landmarks(*part, self.inner) for part in _parts(view.rest)]
        self.center = own[_LEVELS // 2]
        self.scale = (own[3 * _LEVELS // 4] - own[_LEVELS // 4]).clamp(min=1e-100)
        self.end = (self.far / self.scale).asinh().asinh()
        self.landmarks = torch.cat([own, *others])
        with torch.no_grad():
            self.middle = self.bijection(self.center)
            for t in self.inner:
                self.middle = cast(Tensor, t(self.middle))

    def _landmarks(self, distribution: Distribution, components: bool, maps: Sequence[Transform] = ()) -> Tensor:
        """Quantiles and ends of a distribution, or of a mixture's components, before maps and bijection: (…, batch)."""
        samples = samples_of(distribution, 1024)
        levels = torch.linspace(0, 1, _LEVELS + 1, dtype=torch.float64, device=samples.device)
        points = torch.cat([samples.quantile(levels, 0), torch.stack(_bounds(distribution))])
        points = points.movedim(-1, 1) if components else points.unsqueeze(1)
        batch = self.lower.shape
        points = points.reshape(points.shape[:2] + (1,) * (len(batch) - points.dim() + 2) + points.shape[2:])
        points = points.expand(-1, -1, *batch)
        for t in reversed(maps):
            points = cast(Tensor, t.inv(points))
        y = self.bijection.inv(points).nan_to_num(0.0)
        return y.clamp(-self.far, self.far).flatten(0, 1)

    def x(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """Point of the support and log dx/dv."""
        t = v.sinh()
        y = self.center + self.scale * t.sinh()
        x = self.bijection(y)
        return x, self.bijection.log_abs_det_jacobian(y, x) + (self.scale * t.cosh() * v.cosh()).log()

    def edges(self) -> Tensor:
        """Edges of the first panels, (E, …): a regular grid and the landmarks, graded towards narrow panels."""
        grid = torch.linspace(-1, 1, 33, dtype=torch.float64, device=self.end.device)
        grid = grid.reshape((-1,) + (1,) * self.end.dim()) * self.end
        landmarks = ((self.landmarks - self.center) / self.scale).asinh().asinh()
        return _graded(torch.cat([grid, landmarks]).sort(0).values)


def _parts(distribution: Distribution) -> list[tuple[Distribution, bool]]:
    """The distribution and, of a mixture, its components (True): where the density changes fastest."""
    whole: list[tuple[Distribution, bool]] = [(distribution, False)]
    return [*whole, (distribution.component_distribution, True)] if is_mixture(distribution) else whole


def _graded(edges: Tensor) -> Tensor:
    """Edges with no panel over 8 times wider than a neighbour: a wide one would hide the flank of a narrow peak."""
    while True:
        width = edges.diff(dim=0)
        narrowest = torch.minimum(_before(width), _before(width.flip(0)).flip(0))
        split = (width > 8 * narrowest).reshape(len(width), -1).any(1)
        if not bool(split.any()):
            return edges
        edges = _halve(edges, split)


def _before(width: Tensor) -> Tensor:
    """Width of the nearest panel before each that is not empty; inf if there is none."""
    place = torch.arange(len(width), device=width.device).reshape((-1,) + (1,) * (width.dim() - 1)).expand_as(width)
    last = place.where(width > 0, -1).cummax(0).values
    before = torch.cat([torch.full_like(last[:1], -1), last[:-1]])
    return width.gather(0, before.clamp(min=0)).where(before >= 0, torch.inf)


def _halve(edges: Tensor, split: Tensor) -> Tensor:
    """The edges with the middles of the chosen panels among them."""
    middles = (edges[:-1] + edges[1:])[split] / 2
    return torch.cat([edges, middles]).sort(0).values


def _bounds(distribution: Distribution) -> tuple[Tensor, Tensor]:
    """Ends of the interval that supports a distribution over the reals, in its batch shape."""
    if is_mixture(distribution):
        lower, upper = _bounds(distribution.component_distribution)
        return lower.amin(-1), upper.amax(-1)
    if is_composed(distribution):
        return _images(distribution.transforms, _bounds(distribution.base_dist))
    support = support_of(distribution)
    if not _is_interval(support):
        raise NotImplementedError(f"the support of {type(distribution).__name__} is not an interval")
    like = samples_of(distribution, 1)[0]
    lower, upper = _ends(support)
    return lower + torch.zeros_like(like), upper + torch.zeros_like(like)


def _images(transforms: Sequence[Transform], ends: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Ends of the image of an interval under maps, first to last."""
    for transform in transforms:
        ends = _image(transform, ends)
    return ends


def _image(transform: Transform, ends: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Ends of the image of an interval. An end of the domain goes to one of the codomain, not to a rounded number."""
    if isinstance(transform, ComposeTransform):
        return _images(transform.parts, ends)
    if not (_is_interval(transform.domain) and _is_interval(transform.codomain)):
        raise NotImplementedError(f"{type(transform).__name__} does not map intervals to intervals")
    domain, codomain = _ends(transform.domain), _ends(transform.codomain)
    rising = torch.as_tensor(transform.sign, device=ends[0].device) > 0
    mapped = []
    for end, place, (at_rising, at_falling) in zip(ends, domain, (codomain, codomain[::-1])):
        limit = torch.where(rising, at_rising, at_falling)
        mapped.append(torch.where(end == place, limit, cast(Tensor, transform(end))))
    return torch.where(rising, mapped[0], mapped[1]), torch.where(rising, mapped[1], mapped[0])


def _is_interval(constraint: object) -> bool:
    return constraint is constraints.real or isinstance(constraint, _INTERVALS)


def _ends(interval: object) -> tuple[Tensor, Tensor]:
    """Lower and upper end of a constraint, infinite where it has none."""
    bounds = (getattr(interval, "lower_bound", -torch.inf), getattr(interval, "upper_bound", torch.inf))
    lower, upper = (torch.as_tensor(bound, dtype=torch.float64) for bound in bounds)
    return lower, upper


_INTERVALS = (
    constraints.interval,
    constraints.half_open_interval,
    constraints.greater_than,
    constraints.greater_than_eq,
    constraints.less_than,
)


def _interval(lower: Tensor, upper: Tensor) -> tuple[constraints.Constraint, float]:
    """The constraint x ∈ (lower, upper), and how far from 0 its unconstrained coordinate need go."""
    unbounded_below, unbounded_above = lower.isinf(), upper.isinf()
    for unbounded in (unbounded_below, unbounded_above):
        if bool(unbounded.any()) and not bool(unbounded.all()):
            raise NotImplementedError("some distributions of the batch are bounded and some are not")
    if bool(unbounded_below.any()):
        if bool(unbounded_above.any()):
            return constraints.real, _FAR[0]
        return constraints.less_than(upper), _FAR[1]
    if bool(unbounded_above.any()):
        return constraints.greater_than(lower), _FAR[1]
    return constraints.interval(lower, upper), _FAR[1]


def _nodes(edges: Tensor) -> Tensor:
    """The nodes of all panels, (15, P, …)."""
    return (edges[:-1] + edges[1:]) / 2 + edges.diff(dim=0) / 2 * _both_halves(_NODES, edges, -1)


def _gauss_kronrod(integrands: Callable[[Tensor], Tensor], edges: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Integral, error and integral of the absolute value, of each of the integrands, over each panel: (…, P, …)."""
    v = _nodes(edges)
    values = integrands(v.flatten(0, 1)).unflatten(1, v.shape[:2]) * edges.diff(dim=0) / 2
    kronrod, gauss = _both_halves(_KRONROD, edges), _both_halves(_GAUSS, edges)
    integral = (values * kronrod).sum(1)
    return integral, (integral - (values * gauss).sum(1)).abs(), (values.abs() * kronrod).sum(1)


def _both_halves(numbers: tuple[float, ...], edges: Tensor, sign: int = 1) -> Tensor:
    """The numbers of a rule for all 15 nodes, (15, 1, …), from those for the nodes ≥ 0."""
    numbers = (*(sign * n for n in numbers), *reversed(numbers[:-1]))
    return torch.tensor(numbers, dtype=torch.float64, device=edges.device).reshape((-1,) + (1,) * edges.dim())


def _refined(integrands: Callable[[Tensor], Tensor], edges: Tensor) -> Tensor:
    """Edges halved until the error of every integral is below the tolerance."""
    for _ in range(_ROUNDS):
        _, errors, magnitudes = _gauss_kronrod(integrands, edges)
        share = _TOLERANCE * magnitudes.sum(1, keepdim=True) / len(edges)
        split = (errors > share).transpose(0, 1).reshape(len(edges) - 1, -1).any(1)
        if not bool(split.any()) or len(edges) > _MOST_PANELS:
            break
        edges = _halve(edges, split)
    return edges


def _tails(at: _Integrands, end: Tensor) -> tuple[Tensor, Tensor]:
    """The infinity to which the integral diverges at an end of the axis, or 0, and about how much lies beyond if not.

    In t = sinh v an integrable tail falls like e^(−a t), of which ∫ beyond the end is its last value over a; a ≤ 0 is
    no integrable tail.
    """
    log_values, t, value = [], [], end
    for v in (0.9 * end, end):
        log_density, value, _ = at.parts(torch.stack([-v, v]))
        log_values.append(log_density + value.abs().log() - v.cosh().log())
        t.append(v.sinh())
    present = log_values[1].isfinite()
    rate = torch.where(present, (log_values[0] - log_values[1]) / (t[1] - t[0]), 1.0)
    diverges = present & (rate < 1e-6)
    beyond = torch.where(present & ~diverges, log_values[1], -torch.inf).exp() / rate
    return torch.where(diverges, torch.inf * value.sign(), 0.0).sum(0), beyond.sum(0)
