"""Sums of a row while it is read, tile by tile: each lane has met some of the classes, and keeps its largest apart.

    m = max z, of class k     o = Σ_{c≠k} exp(z − m)     e = Σ exp(z − m)(z − m)
    t = Σ τ (z − m)           w = Σ_{c≠k} τ              h = τ_k

One more class costs one exponential, of the smaller of z and m less the larger: it is what z adds to o, or what is left
of o and of the former largest. At the end the lanes merge, with one more exponential each.
"""

# pyright: reportGeneralTypeIssues=false
import triton
import triton.language as tl

from crossentropy._backends.triton._elementary import FAINT, LOWEST, times

NOWHERE = tl.constexpr(2147483647)


@triton.jit
def first(z, tau, column):
    """Lanes that have met one class each."""
    nothing = tl.zeros_like(z)
    return z, tl.zeros(z.shape, tl.int32) + column[None, :], nothing, nothing, nothing, nothing, tau


@triton.jit
def add(m, k, o, e, t, w, h, z, tau, column, LARGEST: tl.constexpr, ENERGY: tl.constexpr, TAU: tl.constexpr):
    """Lanes that meet one class more."""
    up = ~(z <= m)  # also where z is nan
    if LARGEST:
        up = up & (m == m)  # the first nan stays
        k = tl.where(up, column[None, :], k)
    high = tl.where(up, z, m)
    d = tl.where(up, m, z) - tl.maximum(high, LOWEST)
    x = tl.exp(d)
    if ENERGY:
        faint = tl.maximum(d, FAINT)
        e = tl.where(up, x * (e + (o + 1.0) * faint), e + x * faint)
    if TAU:
        t += times(tl.where(up, w + h, tau), d)
        w += tl.where(up, h, tau)
        h = tl.where(up, tau, h)
    return high, k, o * tl.where(up, x, 1.0) + x, e, t, w, h


@triton.jit
def merge(m, k, o, e, t, w, h, apart, LARGEST: tl.constexpr, ENERGY: tl.constexpr, TAU: tl.constexpr):
    """The sums (R,) of rows from their lanes: maximum, apart, top, others, energy, weighted, mass, elsewhere.

    The largest is apart and joins none of the sums that leave it out; or else a label is, which no lane has met.
    """
    top = tl.zeros(apart.shape, tl.int32)
    leave = m != m
    if LARGEST:
        odd = m != m
        poisoned = tl.max(odd.to(tl.int32), 1) > 0
        largest = tl.max(tl.where(odd, -float("inf"), m), 1)
        found = tl.where(poisoned[:, None], odd, m == largest[:, None])
        top = tl.min(tl.where(found, k, NOWHERE), 1)
        largest = tl.where(poisoned, float("nan"), largest)
        apart = largest
        leave = k == top[:, None]
    else:
        largest = tl.maximum(tl.max(m, 1), apart)
    maximum = tl.where(largest < LOWEST, LOWEST, largest)  # nan stays
    d = m - maximum[:, None]
    x = tl.exp(d)
    energy, weighted, mass, elsewhere = maximum, maximum, maximum, maximum
    others = tl.sum(x * o + tl.where(leave, 0.0, x), 1) if LARGEST else tl.sum(x * (o + 1.0), 1)
    if ENERGY:
        energy = tl.sum(x * (e + (o + 1.0) * tl.maximum(d, FAINT)), 1)
    if TAU:
        weighted = tl.sum(t + times(w + h, d), 1)
        mass = tl.sum(w + h, 1)
        elsewhere = tl.sum(w + tl.where(leave, 0.0, h), 1)
    return maximum, apart, top, others, energy, weighted, mass, elsewhere
