"""Densities of torch.distributions objects: exact, −inf outside the support, the same samples every time.

A distribution of several parts is made one of fewer, where that is the same: the map x → a + b x of a family of
locations and scales is another of the family, and coordinates that are independent stay so under maps of each.

Numbers are not fine enough at the end of many supports: tanh 20 is 1, whose density under tanh of a normal is nothing.
An expectation is therefore taken over what was mapped, see `PulledBack`.
"""

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard, cast

import torch
from torch import Tensor
from torch.distributions import (
    AffineTransform,
    Beta,
    Cauchy,
    ComposeTransform,
    Distribution,
    ExpTransform,
    Gamma,
    Independent,
    IndependentTransform,
    Kumaraswamy,
    Laplace,
    LogNormal,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    PowerTransform,
    SigmoidTransform,
    StudentT,
    Transform,
    TransformedDistribution,
    VonMises,
    Weibull,
    constraints,
)


def log_prob(distribution: Distribution, x: Tensor) -> Tensor:
    """Logarithm of the density at x, −inf outside the support, with no nan in value or gradient.

    Outside the support torch's log_prob, with validation off, may return anything. Points there are replaced by a
    sample before the density is computed.
    """
    covered, x = _brought_inside(distribution, x)
    if is_mixture(distribution):
        components = log_prob(distribution.component_distribution, x.unsqueeze(-1))
        log_density = _logsumexp(components + distribution.mixture_distribution.logits)
    elif is_composed(distribution):
        log_density = torch.zeros_like(x)
        for transform in reversed(distribution.transforms):
            y, x = x, cast(Tensor, transform.inv(x))
            log_density = log_density - _log_det(transform, x, y)
        log_density = log_density + log_prob(distribution.base_dist, x)
    elif type(distribution) in _STABLE:
        log_density = _STABLE[type(distribution)](distribution, x)
    else:
        log_density = distribution.log_prob(x)
    return torch.where(covered, log_density, -torch.inf)


def _weibull(distribution: Weibull, x: Tensor) -> Tensor:
    k, ratio = distribution.concentration, x.log() - distribution.scale.log()
    return k.log() + k * ratio - x.log() - (k * ratio).exp()


def _kumaraswamy(distribution: Kumaraswamy, x: Tensor) -> Tensor:
    a, b = distribution.concentration1, distribution.concentration0
    return a.log() + b.log() + (a - 1) * x.log() + (b - 1) * (-torch.expm1(a * x.log())).log()


_STABLE: dict[type, Callable[[Any, Tensor], Tensor]] = {Weibull: _weibull, Kumaraswamy: _kumaraswamy}
"""Densities that torch computes from powers of x: near 0 they underflow, and their derivatives are not numbers."""


def inside(distribution: Distribution, x: Tensor) -> Tensor:
    """Whether x is in the support, gaps of mixtures and ends of transformed intervals included."""
    if is_mixture(distribution):
        return inside(distribution.component_distribution, x.unsqueeze(-1)).any(-1)
    covered = support_of(distribution).check(x)
    if is_composed(distribution):
        x = torch.where(covered, x, samples_of(distribution, 1)[0])
        for transform in reversed(distribution.transforms):
            x = cast(Tensor, transform.inv(x))
        covered = covered & inside(distribution.base_dist, x)
    return covered.expand(torch.broadcast_shapes(covered.shape, distribution.batch_shape))


def support_of(distribution: Distribution) -> constraints.Constraint:
    """Where a distribution has mass: of an angle, in the period in which torch draws it, and not on the whole line."""
    if isinstance(distribution, VonMises):
        return constraints.interval(-math.pi, math.pi)
    assert distribution.support is not None
    return distribution.support


def _brought_inside(distribution: Distribution, x: Tensor) -> tuple[Tensor, Tensor]:
    """Whether x is in the support, and x with a sample where it is not."""
    covered = inside(distribution, x)
    event = covered.reshape(covered.shape + (1,) * len(distribution.event_shape))
    return covered, torch.where(event, x, samples_of(distribution, 1)[0])


def _logsumexp(z: Tensor) -> Tensor:
    """Logsumexp over the last axis; −inf with gradient 0, not nan, where every entry is −inf."""
    alive = (z > -torch.inf).any(-1, keepdim=True)
    total = torch.logsumexp(torch.where(alive, z, 0.0), -1)
    return torch.where(alive.squeeze(-1), total, -torch.inf)


def is_mixture(distribution: Distribution) -> TypeGuard[MixtureSameFamily]:
    """Whether it is a mixture over the real numbers, whose log_prob torch computes without regard to gaps."""
    return isinstance(distribution, MixtureSameFamily) and not distribution.event_shape


def is_composed(distribution: Distribution) -> TypeGuard[TransformedDistribution]:
    """Whether it is a real number's distribution of class TransformedDistribution itself, not of a subclass."""
    return type(distribution) is TransformedDistribution and not distribution.event_shape


def is_discrete(distribution: Distribution) -> bool:
    """Whether its values are discrete, so that log_prob is that of a probability."""
    return bool(distribution.support is not None and distribution.support.is_discrete)


# --- fewer parts --------------------------------------------------------------------------------------------------


def simplified(distribution: Distribution) -> Distribution:
    """The same distribution of fewer parts, with independent coordinates outermost."""
    if type(distribution) is Independent:
        return _independent(simplified(distribution.base_dist), distribution.reinterpreted_batch_ndims)
    if type(distribution) is not TransformedDistribution or is_discrete(distribution.base_dist):
        return distribution
    base, transforms = simplified(distribution.base_dist), list(_single(distribution.transforms))
    if type(base) is Independent and all(t.domain.event_dim == t.codomain.event_dim == 0 for t in transforms):
        inner = TransformedDistribution(base.base_dist, transforms, validate_args=False)
        return _independent(simplified(inner), base.reinterpreted_batch_ndims)
    while transforms and (mapped := _mapped_family(base, transforms[0])) is not None:
        base, transforms = mapped, transforms[1:]
    return TransformedDistribution(base, transforms, validate_args=False) if transforms else base


def _independent(base: Distribution, axes: int) -> Distribution:
    """Coordinates along the last axes of a batch, as one event; of such coordinates, all."""
    if type(base) is Independent:
        base, axes = base.base_dist, axes + base.reinterpreted_batch_ndims
    return Independent(base, axes, validate_args=False) if axes else base


def coordinates(p: Distribution, q: Distribution) -> tuple[Distribution, Distribution, int]:
    """The independent coordinates of both, as a batch, and how many axes they are along; 0 if they are not of both."""
    if isinstance(p, Independent) and isinstance(q, Independent):
        axes = p.reinterpreted_batch_ndims
        if axes == q.reinterpreted_batch_ndims:
            return p.base_dist, q.base_dist, axes
    return p, q, 0


def log_stretch(distribution: TransformedDistribution) -> Tensor | None:
    """How much maps stretch, log |det|, if all places alike: log |b| of each coordinate, summed. None if not."""
    transforms, shape = list(_single(distribution.transforms)), distribution.batch_shape + distribution.event_shape
    if not all(type(t) is AffineTransform for t in transforms) or is_discrete(distribution.base_dist):
        return None
    like = next(iter(tensors_of(distribution)), torch.zeros(()))
    total = torch.zeros(shape, dtype=torch.float64, device=like.device)
    for t in transforms:
        total = (
            total + torch.as_tensor(cast(AffineTransform, t).scale, dtype=total.dtype, device=total.device).abs().log()
        )
    return total.flatten(len(distribution.batch_shape)).sum(-1) if distribution.event_shape else total


def _single(transforms: Iterable[Transform]) -> Iterator[Transform]:
    """Transforms, without those that are made of others; affine ones of single numbers."""
    for t in transforms:
        if isinstance(t, ComposeTransform):
            yield from _single(t.parts)
        elif isinstance(t, IndependentTransform):
            yield from _single([t.base_transform])
        elif isinstance(t, AffineTransform):
            yield AffineTransform(t.loc, t.scale)
        elif t.bijective and isinstance(inverse := t.inv, AffineTransform):
            yield AffineTransform(-inverse.loc / inverse.scale, 1 / inverse.scale)
        else:
            yield t


def _mapped_family(base: Distribution, transform: Transform) -> Distribution | None:
    """The distribution of what is mapped, if it is a known one."""
    if type(transform) is ExpTransform and type(base) is Normal:
        return LogNormal(base.loc, base.scale, validate_args=False)
    if type(transform) is not AffineTransform:
        return None
    a, b = transform.loc, transform.scale
    if type(base) in (Normal, Laplace, Cauchy):
        family = cast(Normal, base)
        return type(family)(a + b * family.loc, abs(b) * family.scale, validate_args=False)
    if type(base) is StudentT:
        return StudentT(base.df, a + b * base.loc, abs(b) * base.scale, validate_args=False)
    if type(base) is MultivariateNormal:
        b = torch.as_tensor(b, dtype=base.loc.dtype, device=base.loc.device).expand_as(base.loc)
        tril = b.unsqueeze(-1) * base.scale_tril * b.sign().unsqueeze(-2)  # so that its diagonal is positive
        return MultivariateNormal(a + b * base.loc, scale_tril=tril, validate_args=False)
    return None


# --- what was mapped ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PulledBack:
    """p and q, seen from the variable z that becomes p's x: w = inner(z), x = outer(w).

        log p(x) = log base(z) − log |dx/dz|        log q(x) = log rest(w) − log |dx/dw|

    The maps that p and q share, outermost, need no x. Of an entropy those are all.
    """

    base: Distribution
    inner: list[Transform]
    outer: list[Transform]
    rest: Distribution

    def log_probs(
        self, z: Tensor, within: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Logarithms of base(z), p(x) and q(x); and w, brought within two numbers."""
        log_base = log_prob(self.base, z)
        axes = len(self.base.event_shape)
        w, inner, axes = _pushed(self.inner, z, axes)
        w = w if within is None or not self.inner else w.clamp(*within)
        _, outer, _ = _pushed(self.outer, w, axes)
        return log_base, log_base - inner - outer, log_prob(self.rest, w) - outer, w


def pulled_back(p: Distribution, q: Distribution) -> PulledBack:
    """Both densities, from what p maps, without the maps that they share."""
    (base, p_maps), (other, q_maps) = _unmapped(p), _unmapped(q)
    shared = 0
    while shared < min(len(p_maps), len(q_maps)) and _same(p_maps[-1 - shared], q_maps[-1 - shared]):
        shared += 1
    inner, own = p_maps[: len(p_maps) - shared], q_maps[: len(q_maps) - shared]
    rest = other if not own else q if not shared else TransformedDistribution(other, own, validate_args=False)
    return PulledBack(base, inner, p_maps[len(inner) :], rest)


def _unmapped(distribution: Distribution) -> tuple[Distribution, list[Transform]]:
    """What a distribution maps, and the maps, first to last."""
    if type(distribution) is TransformedDistribution:
        base, maps = _unmapped(distribution.base_dist)
        return base, [*maps, *_single(distribution.transforms)]
    if type(distribution) is LogNormal:
        return Normal(distribution.loc, distribution.scale, validate_args=False), [ExpTransform()]
    if type(distribution) is Beta:
        return _LogitBeta(distribution.concentration1, distribution.concentration0), [SigmoidTransform()]
    return distribution, []


def _same(one: Transform, other: Transform) -> bool:
    """Whether two maps are one, and stay one however parameters change of which derivatives are taken."""
    pairs = zip(tensors_of(one), tensors_of(other))
    return one == other and all(a is b or not (a.requires_grad or b.requires_grad) for a, b in pairs)


def maps_differ(p: Distribution, q: Distribution) -> bool:
    """Whether p and q are images under maps of which torch, comparing numbers, may take two for one."""
    if type(p) is not TransformedDistribution or type(q) is not TransformedDistribution:
        return False
    return not all(_same(one, other) for one, other in zip(p.transforms, q.transforms))


def _pushed(maps: list[Transform], x: Tensor, axes: int) -> tuple[Tensor, Tensor, int]:
    """The image of x, an event of so many axes; log |det| of the maps there; and the axes of its event."""
    stretch = torch.zeros((), dtype=x.dtype, device=x.device)
    for t in maps:
        y = cast(Tensor, t(x))
        each, over = _log_det(t, x, y), axes - t.domain.event_dim
        stretch = stretch + (each.flatten(-over).sum(-1) if over else each)
        x, axes = y, axes + t.codomain.event_dim - t.domain.event_dim
    return x, stretch, axes


def _log_det(transform: Transform, x: Tensor, y: Tensor) -> Tensor:
    """Logarithm of |dy/dx|. That of a power torch computes from y / x, which underflows."""
    if type(transform) is PowerTransform:
        return transform.exponent.abs().log() + (transform.exponent - 1) * x.log()
    return transform.log_abs_det_jacobian(x, y)


class _LogitBeta(Distribution):
    """The distribution of y = log(x / (1 − x)) where x has a beta distribution.

        log p(y) = a log σ(y) + b log σ(−y) − log B(a, b)

    With a, b ≪ 1 much of it is where x = σ(y) is 1 for any float.
    """

    has_rsample = True

    @property
    def support(self) -> constraints.Constraint:
        return constraints.real

    def __init__(self, a: Tensor, b: Tensor) -> None:
        self.a, self.b = torch.broadcast_tensors(a, b)
        super().__init__(self.a.shape, validate_args=False)

    def expand(self, batch_shape: Sequence[int], _instance: object = None) -> "_LogitBeta":
        return _LogitBeta(self.a.expand(batch_shape), self.b.expand(batch_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        log_sigmoid = torch.nn.functional.logsigmoid
        normaliser = self.a.lgamma() + self.b.lgamma() - (self.a + self.b).lgamma()
        return self.a * log_sigmoid(value) + self.b * log_sigmoid(-value) - normaliser

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return _log_gamma(self.a, sample_shape) - _log_gamma(self.b, sample_shape)


def _log_gamma(a: Tensor, sample_shape: Sequence[int]) -> Tensor:
    """Logarithm of samples of Gamma(a, 1), which may be below 1e-308: they are those of Gamma(a + 1, 1) by U^(1/a)."""
    larger = Gamma(a + 1, torch.ones_like(a), validate_args=False).rsample(torch.Size(sample_shape))
    return larger.log() - torch.empty_like(larger).exponential_() / a


# --- its tensors --------------------------------------------------------------------------------------------------


def tensors_of(thing: Distribution | Transform) -> list[Tensor]:
    """The tensors that define a distribution or a map, those of its parts included."""
    found: list[Tensor] = []
    _mapped(thing, lambda tensor: found.append(tensor) or tensor)
    return found


def exact(*distributions: Distribution) -> list[Distribution]:
    """The same distributions in float64 and without validation of arguments, their parts included.

    float32 is enough for parameters, but not for x: next to 1e6 it has no numbers closer than 0.06.
    """
    return _mapped(distributions, lambda tensor: tensor.double() if tensor.is_floating_point() else tensor)


def samples_of(distribution: Distribution, count: int) -> Tensor:
    """The same samples every time, drawn on the CPU, leaving torch's generators as they were."""
    on_cpu = _mapped(distribution, lambda tensor: tensor.detach().cpu())
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.default_generator.manual_seed(0)
        samples = on_cpu.sample(torch.Size([count]))
    devices = [tensor.device for tensor in tensors_of(distribution)]
    return samples.to(devices[0]) if devices else samples


def _mapped(thing: Any, function: Callable[[Tensor], Tensor], made: dict[int, Any] | None = None) -> Any:  # noqa: ANN401
    """A copy of a distribution, or of a part of one, with a function applied to all tensors, and without validation."""
    made = {} if made is None else made  # a transform and its inverse hold each other
    if isinstance(thing, Tensor):
        return function(thing)
    if isinstance(thing, (list, tuple)):
        return [_mapped(part, function, made) for part in thing]
    if not isinstance(thing, (Distribution, Transform)):
        return thing
    if id(thing) not in made:
        made[id(thing)] = result = copy.copy(thing)
        for name, part in vars(thing).items():
            if isinstance(part, (Tensor, Distribution, Transform)) or name in ("transforms", "parts"):
                setattr(result, name, _mapped(part, function, made))
        if isinstance(result, Distribution):
            result._validate_args = False
    return made[id(thing)]
