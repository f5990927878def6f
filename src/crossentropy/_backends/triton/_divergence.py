"""The kernel of the divergence of a student from a teacher: two rows of logits, whose gradients replace them.

    ℓ = Σ p' (log p' − log p) − p' + p           G = c f (p − p')           G' = c f' p' (log p' − log p − ℓ)

p = softmax(z) of the student, p' of the teacher · c the row's coefficient · f, f' the derivative of each loading.

    COMPLETE    z, z' → m and log s of each → ℓ → the gradients
    MEASURE     of a slice of the classes, from m and log s of all: its part of ℓ
    DERIVE      from these and ℓ: its gradients

Programs, tiles and layouts are those of `_rows`; a row of more than one tile is read once for each arrow.
"""

# pyright: reportGeneralTypeIssues=false
import triton
import triton.language as tl

from crossentropy._backends.triton._elementary import transform
from crossentropy._backends.triton._lanes import add, first, merge
from crossentropy._backends.triton._rows import COMPLETE, DERIVE, keep, logarithms, place, step, write

_NUMBERS = [
    "outer", "classes", "inner", "row_stride", "class_stride", "t_row_stride", "t_class_stride", "coefficient_stride"
]  # fmt: skip


@triton.jit(do_not_specialize=_NUMBERS)
def divergence_kernel(
    student, teacher, coefficient, loss, maximum, log_total, t_maximum, t_log_total,
    outer, classes, inner, row_stride, class_stride, t_row_stride, t_class_stride, coefficient_stride,
    inner_scale, outer_scale, factor, t_inner_scale, t_outer_scale, t_factor,
    TASK: tl.constexpr, GRADIENT: tl.constexpr, CAPPED: tl.constexpr, T_CAPPED: tl.constexpr,
    ACROSS: tl.constexpr, SINGLE: tl.constexpr, R: tl.constexpr, BLOCK: tl.constexpr, UNIT: tl.constexpr,
):  # fmt: skip
    o, i, row, valid, classes = place(outer, classes, inner, ACROSS, R, UNIT)
    student += o * row_stride * UNIT + i
    teacher += o * t_row_stride * UNIT + i
    stride, t_stride = step(class_stride, ACROSS, UNIT), step(t_class_stride, ACROSS, UNIT)
    column = tl.arange(0, BLOCK)
    z, slope = load(student, column, classes, valid, stride, inner_scale, outer_scale, CAPPED)
    t_z, t_slope = load(teacher, column, classes, valid, t_stride, t_inner_scale, t_outer_scale, T_CAPPED)

    if TASK == COMPLETE:
        m, k, lanes, _e, _t, _w, _h = first(z, z, column)
        t_m, t_k, t_lanes, _e, _t, _w, _h = first(t_z, t_z, column)
        if not SINGLE:
            for start in range(BLOCK, classes, BLOCK):
                at = start + column
                z, slope = load(student, at, classes, valid, stride, inner_scale, outer_scale, CAPPED)
                t_z, t_slope = load(teacher, at, classes, valid, t_stride, t_inner_scale, t_outer_scale, T_CAPPED)
                m, k, lanes = add_largest(m, k, lanes, z, at)
                t_m, t_k, t_lanes = add_largest(t_m, t_k, t_lanes, t_z, at)
        m, log_s = merged(m, k, lanes)
        t_m, t_log_s = merged(t_m, t_k, t_lanes)
        keep(maximum, row, m, valid)
        keep(log_total, row, log_s, valid)
        keep(t_maximum, row, t_m, valid)
        keep(t_log_total, row, t_log_s, valid)
    else:
        m = tl.load(maximum + row, mask=valid, other=0.0)
        log_s = tl.load(log_total + row, mask=valid, other=0.0)
        t_m = tl.load(t_maximum + row, mask=valid, other=0.0)
        t_log_s = tl.load(t_log_total + row, mask=valid, other=0.0)

    if TASK == DERIVE:
        result = tl.load(loss + row, mask=valid, other=0.0)
    else:
        if not SINGLE:
            z, slope = load(student, column, classes, valid, stride, inner_scale, outer_scale, CAPPED)
            t_z, t_slope = load(teacher, column, classes, valid, t_stride, t_inner_scale, t_outer_scale, T_CAPPED)
        q, p, term = terms(z, m, log_s, t_z, t_m, t_log_s)
        sums = term - p + q
        if not SINGLE:
            for start in range(BLOCK, classes, BLOCK):
                at = start + column
                z, slope = load(student, at, classes, valid, stride, inner_scale, outer_scale, CAPPED)
                t_z, t_slope = load(teacher, at, classes, valid, t_stride, t_inner_scale, t_outer_scale, T_CAPPED)
                q, p, term = terms(z, m, log_s, t_z, t_m, t_log_s)
                sums += term - p + q
        result = tl.sum(sums, 1)
        keep(loss, row, result, valid)

    if GRADIENT:
        c = tl.load(coefficient + row * coefficient_stride, mask=valid, other=0.0)
        tl.debug_barrier()  # as in `_rows`
        for b in range(tl.cdiv(classes, BLOCK)):
            at = (tl.cdiv(classes, BLOCK) - 1 - b) * BLOCK + column
            if not SINGLE:
                z, slope = load(student, at, classes, valid, stride, inner_scale, outer_scale, CAPPED)
                t_z, t_slope = load(teacher, at, classes, valid, t_stride, t_inner_scale, t_outer_scale, T_CAPPED)
            q, p, term = terms(z, m, log_s, t_z, t_m, t_log_s)
            g = (q - p) * (c * factor)[:, None]
            t_g = (term - p * result[:, None]) * (c * t_factor)[:, None]
            if CAPPED:
                g *= slope
            if T_CAPPED:
                t_g *= t_slope
            write(student, stride, at, classes, valid, tl.where(c[:, None] == 0.0, 0.0, g))
            write(teacher, t_stride, at, classes, valid, tl.where(c[:, None] == 0.0, 0.0, t_g))


@triton.jit
def load(logits, column, classes, valid, class_stride, inner_scale, outer_scale, CAPPED: tl.constexpr):
    """Transformed logits, with −inf where there is none, and the softcap's slope."""
    there = (column < classes)[None, :] & valid[:, None]
    x = tl.load(logits[:, None] + (column.to(tl.int64) * class_stride)[None, :], mask=there, other=0.0)
    z, slope = transform(x.to(tl.float32), inner_scale, outer_scale, CAPPED, True)
    return tl.where(there, z, -float("inf")), slope


@triton.jit
def add_largest(m, k, o, z, column):
    m, k, o, _e, _t, _w, _h = add(m, k, o, o, o, o, o, z, z, column, True, False, False)
    return m, k, o


@triton.jit
def merged(m, k, o):
    """The maximum, and log s."""
    m, apart, _k, others, _e, _t, _T, _w = merge(m, k, o, o, o, o, o, tl.max(m, 1), True, False, False)
    log_s, _information, _lse, _s_k, _s = logarithms(m, others, apart)
    return m, log_s


@triton.jit
def terms(z, m, log_s, t_z, t_m, t_log_s):
    """The student's p, p' and p' (log p' − log p): 0 where p' = 0, and inf where it has underflowed and p is 0."""
    log_q = (z - m[:, None]) - log_s[:, None]
    log_p = (t_z - t_m[:, None]) - t_log_s[:, None]
    p, d = tl.exp(log_p), log_p - log_q
    term = tl.where(d == float("inf"), float("inf"), tl.where(p == 0.0, 0.0, p * d))
    return tl.exp(log_q), p, term
