"""Densities of torch.distributions objects: exact, −inf outside the support, the same samples every time."""

import copy
from collections.abc import Callable
from typing import Any, TypeGuard, cast

import torch
from torch import Tensor
from torch.distributions import Distribution, MixtureSameFamily, Transform, TransformedDistribution


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
            log_density = log_density - transform.log_abs_det_jacobian(x, y)
        log_density = log_density + log_prob(distribution.base_dist, x)
    else:
        log_density = distribution.log_prob(x)
    return torch.where(covered, log_density, -torch.inf)


def inside(distribution: Distribution, x: Tensor) -> Tensor:
    """Whether x is in the support, gaps of mixtures and ends of transformed intervals included."""
    if is_mixture(distribution):
        return inside(distribution.component_distribution, x.unsqueeze(-1)).any(-1)
    support = distribution.support
    assert support is not None
    covered = support.check(x)
    if is_composed(distribution):
        x = torch.where(covered, x, samples_of(distribution, 1)[0])
        for transform in reversed(distribution.transforms):
            x = cast(Tensor, transform.inv(x))
        covered = covered & inside(distribution.base_dist, x)
    return covered.expand(torch.broadcast_shapes(covered.shape, distribution.batch_shape))


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


def tensors_of(distribution: Distribution) -> list[Tensor]:
    """The tensors that define a distribution, those of its parts included."""
    found: list[Tensor] = []
    _mapped(distribution, lambda tensor: found.append(tensor) or tensor)
    return found


def exact(distribution: Distribution) -> Distribution:
    """The same distribution in float64 and without validation of arguments, its parts included.

    float32 is enough for parameters, but not for x: next to 1e6 it has no numbers closer than 0.06.
    """
    return _mapped(distribution, lambda tensor: tensor.double() if tensor.is_floating_point() else tensor)


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
