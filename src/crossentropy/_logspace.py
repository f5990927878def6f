"""Log space: the operations where zero, infinity and half precision are decided, once for the whole package.

    log_softmax(z)_c = z_c − lse(z)      accurate relative to itself even when it is tiny
    logsumexp(z)     = log Σ exp(z_c)    with a gradient that stays accurate for huge z
    product(p, l)    = p · l             where 0 · (±inf) = 0
    binary_terms(z, a, b) = a softplus(−z) + b softplus(z)     softplus(x) = log(1 + exp(x))
    kl_terms(l, p)   = p (log p − l)     where 0 log 0 = 0, whatever l is
    log_ratios(p, q) = log(m / p), log(m / q)     for m = λ p + μ q
    transform(x)     = c · tanh(s x / c) / T
    wide(dtype)                          the dtype in which sums are accumulated

z logits (…, C, …) · c an index along the class axis `dim` · p probabilities or weights · l log-probabilities.

All are plain compositions of differentiable torch operators: derivatives of any order and direction, vmap and
torch.compile follow from torch's own rules.
"""

import operator

import torch
import torch.nn.functional as F
from torch import Tensor

from crossentropy._sharding import is_distributed

CERTAIN = -0.5
"""Log-probability above which log p is computed from the other classes: there they hold 1 − e^−0.5 = 39 % at most."""


def wide(dtype: torch.dtype) -> torch.dtype:
    """The dtype in which a tensor of `dtype` is summed and normalised: float32, or float64 for float64."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def log_softmax(z: Tensor, dim: int) -> Tensor:
    """Logarithm of the softmax along `dim`, in z's dtype.

    For a class with p near 1, z − lse cancels: with one logit 60 above the rest it is 0 in float32, and so is its
    gradient. There log p = log1p(−Σ of the other classes' p), which keeps every digit, and its derivative too: the
    gradient of log p_y with respect to z_y is the *sum* of the others, never 1 − p_y.
    """
    log_p = _composed_log_softmax(z, dim) if is_distributed(z) else torch.log_softmax(z, dim)
    if log_p.numel() == 0:
        return log_p
    index = log_p.argmax(dim, keepdim=True)
    top = log_p.gather(dim, index)  # which DTensors of torch 2.10 can differentiate, and not max
    others = log_p.scatter(dim, index, -torch.inf).exp().sum(dim, keepdim=True)
    certain = top > CERTAIN
    accurate = torch.log1p(0 - torch.where(certain, others, 0.0))  # 0 − x, not −x: no negative zero
    return log_p.scatter(dim, index, torch.where(certain, accurate, top))


def _composed_log_softmax(z: Tensor, dim: int) -> Tensor:
    """That of torch by other operators: its own has no gradient for DTensors while torch's loss_parallel is on."""
    z = z - z.amax(dim, keepdim=True).detach()
    return z - z.exp().sum(dim, keepdim=True).log()


def logsumexp(z: Tensor, dim: int) -> Tensor:
    """Logarithm of Σ exp(z) along `dim`, which is removed.

    torch.logsumexp differentiates to exp(z − lse), whose relative error is that of lse itself: 5e-4 in float32 when
    z is near 1e4. Shifting by the maximum first makes the derivative exp(z − m) / Σ exp(z − m).
    """
    shift = z.amax(dim, keepdim=True).detach()
    shift = shift.masked_fill(shift.isinf(), 0.0)
    total = (z - shift).exp().sum(dim)
    empty = total == 0  # a row of −inf: its logarithm is −inf, with gradient 0 and not nan
    return total.masked_fill(empty, 1.0).log().masked_fill(empty, -torch.inf) + shift.squeeze(dim)


def product(p: Tensor | float, log_q: Tensor) -> Tensor:
    """Product p · log_q in which a zero p annihilates an infinite log_q.

    The infinity is masked before the product, not after it: masked afterwards, its gradient would be 0 · inf = nan.
    """
    return p * log_q.masked_fill((p == 0) & log_q.isinf(), 0.0)


_LINEAR = 40.0
"""x above which softplus(x) is x: exp(−40) / 40 is less than half an ulp of 1, in float64 too."""


def binary_terms(z: Tensor, yes: Tensor, no: Tensor, readable: bool) -> Tensor:
    """Terms yes · softplus(−z) + no · softplus(z) of a binary loss; `readable`: whether z may be looked at."""
    # 0 · inf is masked unless it is seen that nothing is infinite, which saves two fifths of the time
    times = operator.mul if readable and not bool(z.isinf().any()) else product
    return times(yes, F.softplus(-z, 1.0, _LINEAR)) + times(no, F.softplus(z, 1.0, _LINEAR))


def transform(
    x: Tensor, scale: float, softcap: float | None, temperature: float = 1.0, *, masked: bool = False
) -> Tensor:
    """Logits softcap · tanh(scale · x / softcap) / temperature, with constants put together.

    If `masked`, what is −inf stays so, which a softcap or a scale ≤ 0 would change.
    """
    if softcap is not None:
        z = softcap / temperature * torch.tanh(x * (scale / softcap))
    else:
        z = x if scale == temperature else x * (scale / temperature)
    return z.masked_fill(x == -torch.inf, -torch.inf) if masked else z


def kl_terms(input: Tensor, target: Tensor, log_target: bool) -> Tensor:
    """Terms p (log p − input), which are 0 where p = 0, in the accumulation dtype."""
    dtype = wide(torch.promote_types(input.dtype, target.dtype))
    input, target = input.to(dtype), target.to(dtype)
    absent = target == (-torch.inf if log_target else 0.0)
    log_p = target.masked_fill(absent, 0.0) if log_target else target.masked_fill(absent, 1.0).log()
    p = target.exp() if log_target else target
    return p * (log_p - input.masked_fill(absent & input.isinf(), 0.0))


_NEAR = -0.5
"""Above it e^x is near 1."""
_FAR = 1000.0
"""A difference of two log-probabilities at which the smaller probability is 0 in any dtype."""


def log_ratios(log_p: Tensor, log_q: Tensor, share_of_p: float, share_of_q: float) -> tuple[Tensor, Tensor]:
    """Ratios log(m / p) and log(m / q) of a mixture m = λ p + μ q, where λ + μ = 1 and both are above 0.

    With d = |log p − log q| and κ the share of the smaller of the two, κ' of the larger,

        log(m / larger)  = log1p(κ (e^−d − 1))   or, far from p = q,   log(κ' + κ e^−d)
        log(m / smaller) = log(m / larger) + d

    Near p = q both are as accurate as d is, however small it is. All are finite: where the smaller is 0, what it is
    multiplied by may be any number, and where both are, d is 0.
    """
    d = (log_p - log_q).nan_to_num(nan=0.0, posinf=_FAR, neginf=-_FAR).clamp(-_FAR, _FAR)
    above = d >= 0
    gap = torch.where(above, -d, d)  # not −|d|, which has no derivative at 0
    smaller = torch.full_like(d, share_of_p).masked_fill(above, share_of_q)
    larger = torch.full_like(d, share_of_q).masked_fill(above, share_of_p)
    near = torch.log1p(smaller * torch.expm1(gap.clamp(min=_NEAR)))
    far = torch.log(larger + smaller * gap.exp())
    of_larger = torch.where(gap > _NEAR, near, far)
    of_smaller = of_larger - gap
    return torch.where(above, of_larger, of_smaller), torch.where(above, of_smaller, of_larger)
