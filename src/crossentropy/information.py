"""Information, entropy and divergence of discrete distributions.

    information        I(p)      = −log p                  what one outcome tells, when it happens
    entropy            H(p)      = Σ p · I(p)              what it tells on average: largest when all are equally likely
    kl_divergence      KL(p‖q)   = Σ p · log(p / q)        what believing q costs when the truth is p
    cross_entropy      H(p, q)   = H(p) + KL(p‖q)          = −Σ p · log q, the average surprise of a believer in q
    js_divergence      JS(p, q)  = ½ KL(p‖m) + ½ KL(q‖m)   with m = ½ (p + q); symmetric and bounded by log 2
    perplexity         exp H(p)                            the number of equally likely outcomes that tell as much
    mutual_information I(X; Y)   = KL(p(x,y) ‖ p(x)p(y))   what one variable tells of the other

p is the truth (or the target), q the belief (or the prediction); both are probabilities along `dim`, (…, C, …) with C
classes, and broadcast against each other. Where probabilities come from a model, give its logits z instead, by
keyword: p = softmax(z) is then never rounded to 0 or 1 on the way to its logarithm.

Conventions, for every function:

- A class with p = 0 contributes 0; a class with p > 0 and q = 0 contributes +inf.
- Gradients are finite wherever the quantity is: at p = 0, where the slope of p log p is infinite, the gradient is 0.
- Half precision is computed in float32 and rounded once.
- `unit` is "nat" (natural logarithm), "bit" (base 2) or "hartley" (base 10).
- `validate=True`, the default here, looks at the values of probabilities, which waits for a device. What it means in
  the whole package is in `crossentropy.functional`.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

from crossentropy._errors import ArgumentTypeError, ArgumentValueError
from crossentropy._exports import Listing, listing
from crossentropy._keywords import hinting
from crossentropy._logspace import log_softmax, logsumexp, product, wide
from crossentropy._values import axis, check_broadcast, check_probabilities, first, position, readable, remedy

__all__ = [
    "cross_entropy",
    "entropy",
    "information",
    "js_divergence",
    "kl_divergence",
    "mutual_information",
    "perplexity",
]

Unit: TypeAlias = Literal["nat", "bit", "hartley"]
Numbers: TypeAlias = Tensor | float | Sequence[Any]
"""A tensor, or what torch.as_tensor makes one of: a number, or a list of them. (A NumPy array works as well.)"""

_PER_NAT = {"nat": 1.0, "bit": 1 / math.log(2), "hartley": 1 / math.log(10)}


@hinting
def information(p: Numbers, *, unit: Unit = "nat", validate: bool = True) -> Tensor:
    """Information of an outcome of probability p.

        I(p) = −log p

    The rarer the outcome, the more it tells: 0 for a certain one, without bound as p falls to 0.

    Args:
        p: Probabilities, any shape, each in [0, 1].
        unit: "nat", "bit" or "hartley".
        validate: Check the range of p.

    Returns:
        The information of each entry, in p's shape and dtype; +inf where p = 0.

    Raises:
        ValueError: An entry is outside [0, 1] or nan, or `unit` is unknown.
        TypeError: p is not real.

    Examples:
        At least one six in six rolls of a die, and six sixes in six rolls:

        >>> p = torch.tensor([1 - (5 / 6) ** 6, (1 / 6) ** 6], dtype=torch.float64)
        >>> information(p, unit="bit")
        tensor([ 0.5884, 15.5098], dtype=torch.float64)

    See Also:
        `entropy`, its average over a distribution.

    References:
        C. E. Shannon, A Mathematical Theory of Communication, 1948.
    """
    p = _as_real("p", p)
    if validate and readable(p, wait=True):
        offence = first(~((p >= 0) & (p <= 1)))
        if offence is not None:
            raise ArgumentValueError(f"p{position(offence)} is {p[offence].item():.9g}, expected a number in [0, 1]")
    return (0 - p.to(wide(p.dtype)).log() * per_nat(unit)).to(p.dtype)  # 0 − x, not −x: no negative zero


@hinting
def entropy(
    p: Numbers | None = None,
    *,
    logits: Tensor | None = None,
    dim: int = -1,
    keepdim: bool = False,
    unit: Unit = "nat",
    validate: bool = True,
) -> Tensor:
    """Entropy of a distribution.

        H(p) = −Σ_c p_c log p_c

    The average information of an outcome: 0 when one outcome is certain, and the more evenly the probability is
    spread, the *larger*, up to log C for C equally likely outcomes.

    Args:
        p: Probabilities along `dim`, (…, C, …); or logits instead of it.
        logits: Unnormalised log-probabilities along `dim`, (…, C, …), instead of p; −inf masks a class.
        dim: The class axis.
        keepdim: Keep the class axis, with size 1.
        unit: "nat", "bit" or "hartley".
        validate: Check that p is not negative and sums to 1. Skipped where values cannot be read (torch.compile, vmap).

    Returns:
        H, of p's shape without `dim`, in p's dtype.

    Raises:
        ValueError: A row of p is no distribution (the message shows it), or `unit` is unknown.
        IndexError: `dim` is not an axis.
        TypeError: Both or neither of p and logits were given, or they are not real.

    Examples:
        >>> entropy([[0.5, 0.5], [0.9, 0.1], [1.0, 0.0]], unit="bit")
        tensor([1.0000, 0.4690, 0.0000])

    See Also:
        `perplexity`; `crossentropy.continuous.entropy` for densities.

    References:
        C. E. Shannon, A Mathematical Theory of Communication, 1948.
    """
    p_ = _distribution("p", p, "logits", logits, dim, validate)
    return _sum(_entropy_terms(p_), p_, dim, keepdim, unit)


@hinting
def cross_entropy(
    p: Numbers | None = None,
    q: Numbers | None = None,
    *,
    p_logits: Tensor | None = None,
    q_logits: Tensor | None = None,
    dim: int = -1,
    keepdim: bool = False,
    unit: Unit = "nat",
    validate: bool = True,
) -> Tensor:
    """Cross entropy of a distribution q under the truth p.

        H(p, q) = −Σ_c p_c log q_c = H(p) + KL(p‖q)

    The average information that outcomes of p carry for someone who believes q. H(p) does not depend on q, so a model
    that minimises H(p, q) minimises KL(p‖q): that is why cross entropy serves as a loss. For one-hot p it is
    −log q of the true class.

    Args:
        p: True probabilities along `dim`, (…, C, …); or p_logits instead of it.
        q: Predicted probabilities along `dim`; broadcast against p; or q_logits instead of it.
        p_logits: Unnormalised log-probabilities instead of p.
        q_logits: Unnormalised log-probabilities instead of q.
        dim: The class axis, counted in the broadcast shape.
        keepdim: Keep the class axis, with size 1.
        unit: "nat", "bit" or "hartley".
        validate: Check that p and q are not negative and sum to 1. Skipped where values cannot be read.

    Returns:
        H(p, q), of the broadcast shape without `dim`, in the promoted dtype; +inf where some q = 0 has p > 0.

    Raises:
        ValueError: A row is no distribution, the shapes do not broadcast, the classes differ, or `unit` is unknown.
        IndexError: `dim` is not an axis.
        TypeError: Both or neither of p and p_logits (q and q_logits) were given, or they are not real.

    Examples:
        >>> cross_entropy([0.0, 1.0, 0.0], [0.1, 0.2, 0.7])
        tensor(1.6094)

    See Also:
        `crossentropy.functional.cross_entropy`, the loss: from logits, with a reduction over a batch.

    References:
        T. M. Cover and J. A. Thomas, Elements of Information Theory, chapter 2.
    """
    p_, q_ = _pair(p, q, p_logits, q_logits, dim, validate)
    terms = product(p_.p, -q_.log_where((p_.p != 0) | q_.present()))
    return _sum(terms.masked_fill(_impossible(p_, q_), torch.inf), p_, dim, keepdim, unit)


@hinting
def kl_divergence(
    p: Numbers | None = None,
    q: Numbers | None = None,
    *,
    p_logits: Tensor | None = None,
    q_logits: Tensor | None = None,
    dim: int = -1,
    keepdim: bool = False,
    unit: Unit = "nat",
    validate: bool = True,
) -> Tensor:
    """Kullback–Leibler divergence of q from p, also called relative entropy.

        KL(p‖q) = Σ_c p_c log(p_c / q_c) = H(p, q) − H(p) ≥ 0

    What believing q costs, on average and beyond the unavoidable H(p), when the truth is p. 0 only for q = p, and not
    symmetric. Computed as Σ (p log(p/q) − p + q), which is the same sum for distributions and whose terms are all
    ≥ 0: close to q = p it keeps its digits, where the plain sum cancels to noise. (With `validate=False` and rows that
    do not sum to 1, this is the generalised divergence of measures.)

    Args:
        p: True probabilities along `dim`, (…, C, …); or p_logits instead of it.
        q: Predicted probabilities along `dim`; broadcast against p; or q_logits instead of it.
        p_logits: Unnormalised log-probabilities instead of p.
        q_logits: Unnormalised log-probabilities instead of q.
        dim: The class axis, counted in the broadcast shape.
        keepdim: Keep the class axis, with size 1.
        unit: "nat", "bit" or "hartley".
        validate: Check that p and q are not negative and sum to 1. Skipped where values cannot be read.

    Returns:
        KL(p‖q), of the broadcast shape without `dim`, in the promoted dtype; +inf where some q = 0 has p > 0.

    Raises:
        ValueError: A row is no distribution, the shapes do not broadcast, the classes differ, or `unit` is unknown.
        IndexError: `dim` is not an axis.
        TypeError: Both or neither of p and p_logits (q and q_logits) were given, or they are not real.

    Examples:
        >>> kl_divergence([0.5, 0.5], [0.9, 0.1]), kl_divergence([0.9, 0.1], [0.5, 0.5])
        (tensor(0.5108), tensor(0.3681))

    See Also:
        `crossentropy.functional.kl_div`, torch's elementwise loss; `crossentropy.continuous.kl_divergence`.

    References:
        S. Kullback and R. A. Leibler, On Information and Sufficiency, 1951.
    """
    p_, q_ = _pair(p, q, p_logits, q_logits, dim, validate)
    return _sum(_kl_terms(p_, q_), p_, dim, keepdim, unit, nonnegative=True)


@hinting
def js_divergence(
    p: Numbers | None = None,
    q: Numbers | None = None,
    *,
    p_logits: Tensor | None = None,
    q_logits: Tensor | None = None,
    dim: int = -1,
    keepdim: bool = False,
    unit: Unit = "nat",
    validate: bool = True,
) -> Tensor:
    """Jensen–Shannon divergence between p and q.

        JS(p, q) = ½ KL(p‖m) + ½ KL(q‖m),   m = ½ (p + q)

    Symmetric, always finite, between 0 (equal) and log 2 (disjoint); its square root is a metric.

    Args:
        p: Probabilities along `dim`, (…, C, …); or p_logits instead of it.
        q: Probabilities along `dim`; broadcast against p; or q_logits instead of it.
        p_logits: Unnormalised log-probabilities instead of p.
        q_logits: Unnormalised log-probabilities instead of q.
        dim: The class axis, counted in the broadcast shape.
        keepdim: Keep the class axis, with size 1.
        unit: "nat", "bit" or "hartley".
        validate: Check that p and q are not negative and sum to 1. Skipped where values cannot be read.

    Returns:
        JS(p, q), of the broadcast shape without `dim`, in the promoted dtype.

    Raises:
        ValueError: A row is no distribution, the shapes do not broadcast, the classes differ, or `unit` is unknown.
        IndexError: `dim` is not an axis.
        TypeError: Both or neither of p and p_logits (q and q_logits) were given, or they are not real.

    Examples:
        >>> js_divergence([1.0, 0.0], [0.0, 1.0], unit="bit")
        tensor(1.)

    See Also:
        `kl_divergence`.

    References:
        J. Lin, Divergence Measures Based on the Shannon Entropy, 1991.
    """
    p_, q_ = _pair(p, q, p_logits, q_logits, dim, validate)
    m = _Distribution((p_.p + q_.p) / 2, None, p_.dtype)
    return _sum((_kl_terms(p_, m) + _kl_terms(q_, m)) / 2, p_, dim, keepdim, unit, nonnegative=True)


@hinting
def perplexity(
    p: Numbers | None = None,
    *,
    logits: Tensor | None = None,
    dim: int = -1,
    keepdim: bool = False,
    validate: bool = True,
) -> Tensor:
    """Perplexity of a distribution: its effective number of outcomes.

        PP(p) = exp H(p)

    As uncertain as a fair choice among PP(p) outcomes: 1 for a certain one, C for C equally likely ones. It is a count
    and has no unit. The perplexity of a language model is exp of its *cross* entropy per token.

    Args:
        p: Probabilities along `dim`, (…, C, …); or logits instead of it.
        logits: Unnormalised log-probabilities along `dim`, instead of p.
        dim: The class axis.
        keepdim: Keep the class axis, with size 1.
        validate: Check that p is not negative and sums to 1. Skipped where values cannot be read.

    Returns:
        exp H, of p's shape without `dim`, in p's dtype.

    Raises:
        ValueError: A row of p is no distribution.
        IndexError: `dim` is not an axis.
        TypeError: Both or neither of p and logits were given, or they are not real.

    Examples:
        >>> perplexity([[0.25, 0.25, 0.25, 0.25], [1.0, 0.0, 0.0, 0.0]])
        tensor([4., 1.])

    See Also:
        `entropy`.

    References:
        F. Jelinek et al., Perplexity — a measure of the difficulty of speech recognition tasks, 1977.
    """
    p_ = _distribution("p", p, "logits", logits, dim, validate)
    return _entropy_terms(p_).sum(dim, keepdim=keepdim).exp().to(p_.dtype)


@hinting
def mutual_information(
    joint: Numbers | None = None,
    *,
    logits: Tensor | None = None,
    dim: tuple[int, int] = (-2, -1),
    keepdim: bool = False,
    unit: Unit = "nat",
    validate: bool = True,
) -> Tensor:
    """Mutual information of two variables with a joint distribution.

        I(X; Y) = Σ_xy p(x,y) log(p(x,y) / p(x)p(y)) = H(X) + H(Y) − H(X,Y) ≥ 0

    What knowing one tells, on average, of the other; 0 only if they are independent.

    Args:
        joint: Joint probabilities, (…, X, Y), that sum to 1 over both axes together; or logits instead of it.
        logits: Unnormalised log-probabilities of the pairs, instead of joint.
        dim: The axes of X and Y.
        keepdim: Keep both axes, with size 1.
        unit: "nat", "bit" or "hartley".
        validate: Check that joint is not negative and sums to 1. Skipped where values cannot be read.

    Returns:
        I(X; Y), of joint's shape without the two axes, in its dtype.

    Raises:
        ValueError: joint is no distribution, the two axes are the same, or `unit` is unknown.
        IndexError: `dim` holds no axis.
        TypeError: Both or neither of joint and logits were given, or they are not real.

    Examples:
        >>> mutual_information([[0.5, 0.0], [0.0, 0.5]], unit="bit")
        tensor(1.)

    See Also:
        `kl_divergence`, of which it is a case.

    References:
        T. M. Cover and J. A. Thomas, Elements of Information Theory, chapter 2.
    """
    name, x = _given("joint", joint, "logits", logits)
    rows, columns = (axis(name, x, d) for d in dim)
    if rows == columns:
        raise ArgumentValueError(f"dim is {dim}: expected two different axes, one of X and one of Y")
    pairs = x.movedim((rows, columns), (-2, -1))
    pxy = _normalised(name, pairs.flatten(-2), logits is not None, -1, validate, x.dtype)
    independent = _product_of_marginals(pxy, pairs.shape[-2:])
    result = _sum(_kl_terms(pxy, independent), pxy, -1, False, unit, nonnegative=True)
    for reduced in sorted((rows, columns)) if keepdim else ():
        result = result.unsqueeze(reduced)
    return result


def _product_of_marginals(pxy: "_Distribution", sizes: torch.Size) -> "_Distribution":
    if pxy.log is None:
        p = pxy.p.unflatten(-1, sizes)
        return _Distribution((p.sum(-1, keepdim=True) * p.sum(-2, keepdim=True)).flatten(-2), None, pxy.dtype)
    log_p = pxy.log.unflatten(-1, sizes)
    log_q = (logsumexp(log_p, -1).unsqueeze(-1) + logsumexp(log_p, -2).unsqueeze(-2)).flatten(-2)
    return _Distribution(log_q.exp(), log_q, pxy.dtype)


# --- one representation for probabilities and logits --------------------------------------------------------------


class _Distribution(NamedTuple):
    """A distribution in the accumulation dtype; `log` is None where it was given as probabilities."""

    p: Tensor
    log: Tensor | None
    dtype: torch.dtype  # of the result

    def present(self) -> Tensor:
        """Where p is not 0, though it may have underflowed to 0. A nan is present and stays one."""
        return self.p != 0 if self.log is None else self.log != -torch.inf

    def log_where(self, needed: Tensor) -> Tensor:
        """Logarithm of p where `needed`, else 0; masked *before* the logarithm, so the gradient is 0 and not nan."""
        if self.log is None:
            return torch.where(needed, self.p, 1.0).log()
        return torch.where(needed, self.log, 0.0)


def _entropy_terms(p: _Distribution) -> Tensor:
    return p.p * -p.log_where(p.p != 0)


def _kl_terms(p: _Distribution, q: _Distribution) -> Tensor:
    """Terms p log(p/q) − p + q ≥ 0; with d = log(q/p), as p (e^d − 1 − d) near d = 0, where the plain form cancels."""
    occurs = p.p != 0
    d = q.log_where(occurs) - p.log_where(occurs)
    near = occurs & (d.abs() < 1)
    small, large = torch.where(near, d, 0.0), torch.where(near, 0.0, d)
    far = torch.where(occurs, q.p - p.p - p.p * large, q.p)
    return torch.where(near, p.p * (small.expm1() - small), far).masked_fill(_impossible(p, q), torch.inf)


def _impossible(p: _Distribution, q: _Distribution) -> Tensor:
    """Where q is 0 and p, though it has underflowed to 0, is not."""
    return p.present() & (p.p == 0) & ~q.present()


def _sum(terms: Tensor, p: _Distribution, dim: int, keepdim: bool, unit: str, *, nonnegative: bool = False) -> Tensor:
    total = terms.sum(dim, keepdim=keepdim)
    if nonnegative:  # a rounding error below 0 is removed from the value, and only from the value
        total = total - total.detach().clamp(max=0.0)
    return (0 + total * per_nat(unit)).to(p.dtype)  # 0 + x: no negative zero


# --- arguments ----------------------------------------------------------------------------------------------------


def per_nat(unit: str) -> float:
    """How many of the unit make one nat."""
    if unit not in _PER_NAT:
        raise ArgumentValueError(f"unit is {unit!r}, expected one of {', '.join(map(repr, _PER_NAT))}")
    return _PER_NAT[unit]


def _as_real(name: str, x: Numbers) -> Tensor:
    try:
        tensor = torch.as_tensor(x)
    except (TypeError, ValueError, RuntimeError):
        raise ArgumentTypeError(f"{name} is {x!r:.60}, expected a tensor or a list of numbers") from None
    if tensor.is_complex():
        raise ArgumentTypeError(f"{name} is {tensor.dtype}, expected real numbers")
    return tensor if tensor.is_floating_point() else tensor.to(torch.get_default_dtype())


def _given(name: str, p: Numbers | None, logits_name: str, logits: Tensor | None) -> tuple[str, Tensor]:
    if (p is None) == (logits is None):
        came = "both were" if p is not None else "neither was"
        raise ArgumentTypeError(f"{came} given of {name} (probabilities) and {logits_name}: expected one of them")
    if p is not None:
        return name, _as_real(name, p)
    assert logits is not None
    return logits_name, _as_real(logits_name, logits)


def _normalised(name: str, x: Tensor, is_logits: bool, dim: int, validate: bool, dtype: torch.dtype) -> _Distribution:
    dim = axis(name, x, dim)
    if is_logits:
        log_p = log_softmax(x.to(wide(dtype)), dim)
        return _Distribution(log_p.exp(), log_p, dtype)
    if validate and readable(x, wait=True):
        check_probabilities(name, x, dim, hint=_hint)
    return _Distribution(x.to(wide(dtype)), None, dtype)


def _hint(row: Tensor) -> str:
    """What to do with a row that is no distribution."""
    fix = remedy(row, "logits go by keyword")
    others = "; logits go by keyword" if fix.startswith("divide") else ""
    return f"{fix}{others}; validate=False skips this"


def _distribution(
    name: str, p: Numbers | None, logits_name: str, logits: Tensor | None, dim: int, validate: bool
) -> _Distribution:
    name, x = _given(name, p, logits_name, logits)
    return _normalised(name, x, logits is not None, dim, validate, x.dtype)


def _pair(
    p: Numbers | None,
    q: Numbers | None,
    p_logits: Tensor | None,
    q_logits: Tensor | None,
    dim: int,
    validate: bool,
) -> tuple[_Distribution, _Distribution]:
    p_name, p_ = _given("p", p, "p_logits", p_logits)
    q_name, q_ = _given("q", q, "q_logits", q_logits)
    rank = max(p_.dim(), q_.dim())
    p_, q_ = (x.reshape((1,) * (rank - x.dim()) + x.shape) for x in (p_, q_))
    classes = [x.shape[axis(name, x, dim)] for name, x in ((p_name, p_), (q_name, q_))]
    if classes[0] != classes[1]:
        raise ArgumentValueError(
            f"{p_name} has {classes[0]} classes along dim {dim} and {q_name} has {classes[1]}: expected the same"
        )
    check_broadcast(**{p_name: p_, q_name: q_})
    dtype = torch.promote_types(p_.dtype, q_.dtype)
    return (
        _normalised(p_name, p_, p_logits is not None, dim, validate, dtype),
        _normalised(q_name, q_, q_logits is not None, dim, validate, dtype),
    )


__dir__: Listing = listing(__name__)
