"""Functions of numbers that Triton lacks, or has without the accuracy that is needed here; and what makes a logit.

log1p_of_ratio(x)       log(1 + x) for x in [0, 1]: 2 atanh(x / (2 + x)), by its series, to 2 ulp
times(w, x)             w x, where a weight of 0 annihilates infinity
transform(x)            z = softcap · tanh(logit_scale · x / softcap) / temperature, and the slope 1 − tanh²
"""

# pyright: reportGeneralTypeIssues=false
import triton
import triton.language as tl

LOWEST = tl.constexpr(-3.4028234663852886e38)
"""No finite number is below it: −inf − LOWEST is −inf, and −inf − (−inf) does not happen."""
FAINT = tl.constexpr(-1000.0)
"""exp of it is 0, as it is of all that is less; and 0 times it is 0."""


@triton.jit
def log1p_of_ratio(x):
    # 1 + x has lost the digits that the class apart was kept for, and Triton has no log1p
    s = x / (2.0 + x)
    q = s * s
    r = 1.0 / 17.0
    r = r * q + 1.0 / 15.0
    r = r * q + 1.0 / 13.0
    r = r * q + 1.0 / 11.0
    r = r * q + 1.0 / 9.0
    r = r * q + 1.0 / 7.0
    r = r * q + 1.0 / 5.0
    r = r * q + 1.0 / 3.0
    return 2.0 * (s + s * q * r)


@triton.jit
def tanh_and_slope(x):
    """Of exp(−2|x|), which never overflows; by the series where the difference of it and 1 would cancel.

    The slope 4 e / (1 + e)² keeps its digits where tanh is nearly 1.
    """
    a = tl.abs(x)
    e = tl.exp(-2.0 * a)
    inverse = 1.0 / (1.0 + e)
    q = a * a
    r = -1382.0 / 155925.0
    r = r * q + 62.0 / 2835.0
    r = r * q - 17.0 / 315.0
    r = r * q + 2.0 / 15.0
    r = r * q - 1.0 / 3.0
    t = tl.where(a < 0.3, a + a * q * r, (1.0 - e) * inverse)
    return tl.where(x < 0, -t, t), 4.0 * e * inverse * inverse


@triton.jit
def times(weight, value):
    return tl.where((weight == 0.0) & (tl.abs(value) == float("inf")), 0.0, weight * value)


@triton.jit
def transform(x, inner_scale, outer_scale, CAPPED: tl.constexpr, SCALED: tl.constexpr):
    """The transformed logit, and the slope of the softcap where there is one (else anything)."""
    slope = x
    if CAPPED:
        x, slope = tanh_and_slope(x * inner_scale)
        x *= outer_scale
    elif SCALED:
        x *= inner_scale
    return x, slope
