"""Densities of torch.distributions objects: float64, −inf outside the support, the same samples every time."""

import copy
from typing import cast

import torch
from torch import Tensor
from torch.distributions import Distribution, MixtureSameFamily, TransformedDistribution


def log_prob(distribution: Distribution, x: Tensor) -> Tensor:
    """Logarithm of the density at x, −inf outside the support, with no nan in value or gradient.

    Outside the support torch's log_prob, with validation off, may return anything. Points there are replaced by a
    sample before the density is computed.
    """
    if isinstance(distribution, MixtureSameFamily) and not distribution.event_shape:
        components = log_prob(distribution.component_distribution, x.unsqueeze(-1))
        weights = distribution.mixture_distribution.logits
        return _logsumexp(components + weights)
    inside = _inside(distribution, x)
    event = inside.reshape(inside.shape + (1,) * len(distribution.event_shape))
    x = torch.where(event, x, samples_of(distribution, 1)[0])
    if type(distribution) is TransformedDistribution and not distribution.event_shape:
        log_density = torch.zeros_like(x)
        for transform in reversed(distribution.transforms):
            y, x = x, cast(Tensor, transform.inv(x))
            log_density = log_density - transform.log_abs_det_jacobian(x, y)
        log_density = log_density + log_prob(distribution.base_dist, x)
    else:
        log_density = distribution.log_prob(x)
    return torch.where(inside, log_density, -torch.inf)


def _logsumexp(z: Tensor) -> Tensor:
    """Logsumexp over the last axis; −inf with gradient 0, not nan, where every entry is −inf."""
    alive = (z > -torch.inf).any(-1, keepdim=True)
    total = torch.logsumexp(torch.where(alive, z, 0.0), -1)
    return torch.where(alive.squeeze(-1), total, -torch.inf)


def _inside(distribution: Distribution, x: Tensor) -> Tensor:
    support = distribution.support
    assert support is not None
    inside = support.check(x)
    return inside.expand(torch.broadcast_shapes(inside.shape, distribution.batch_shape))


def exact(distribution: Distribution) -> Distribution:
    """The same distribution in float64 and without validation of arguments, its parts included.

    float32 is enough for parameters, but not for x: next to 1e6 it has no numbers closer than 0.06.
    """
    result = copy.copy(distribution)
    for name, part in vars(distribution).items():
        if isinstance(part, Distribution):
            setattr(result, name, exact(part))
        elif isinstance(part, Tensor) and part.is_floating_point():
            setattr(result, name, part.double())
    result._validate_args = False
    return result


def samples_of(distribution: Distribution, count: int) -> Tensor:
    """The same samples every time, leaving torch's global generator as it was."""
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices), torch.no_grad():
        torch.manual_seed(0)
        return distribution.sample(torch.Size([count]))


def tensors_of(distribution: Distribution) -> list[Tensor]:
    """The tensors that define a distribution, those of its parts included."""
    tensors = []
    for part in vars(distribution).values():
        if isinstance(part, Distribution):
            tensors += tensors_of(part)
        elif isinstance(part, Tensor):
            tensors.append(part)
    return tensors


def is_discrete(distribution: Distribution) -> bool:
    return bool(distribution.support is not None and distribution.support.is_discrete)
