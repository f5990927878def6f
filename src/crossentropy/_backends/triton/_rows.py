"""The row kernel: statistics, loss and gradient of rows in one launch. The tasks are those of a `Job`.

    z = softcap · tanh(logit_scale · x / softcap) / temperature       k the class apart: the label, or the largest
    m = max z      o = Σ_{c≠k} exp(z_c − m)      s = o + exp(z_k − m)      e = Σ exp(z − m)(z − m)
    τ = w ((1 − ε) p + ε/C)                      t = Σ τ (z − m)           T = Σ τ
    log s = (z_k − m) + log1p(o / exp(z_k − m))  where k is more likely than all others together

    COMPLETE    z → sums → ℓ = T log s − t + λ n lse², or log p_y, H and lse → the gradient
    MEASURE     z → sums
    DERIVE      z → the gradient, exp(z − m)(scale + tilt (z − m)) − c τ; `peak` at the class apart, which for a label
                is c (Στ elsewhere − Στ o / s + pull p), differences of what is small

One program has a tile of R rows, and reads their classes in tiles (R, BLOCK). SINGLE: all are in one tile, which stays
in registers: read once, written once. Else one sweep sums, and a second one, backward, derives: what was read last is
in the L2 cache, and is read first.

Rows lie along classes or ACROSS them: (outer, C, inner), where a tile's rows lie together in memory. What belongs to
rows is contiguous. The gradient may replace the logits: a row is one program's, which sums before it writes. Strides,
and the length of what lies together, come in UNITs, so that the compiler knows what divides them and loads 16 bytes.
"""

# pyright: reportGeneralTypeIssues=false, reportAssignmentType=false
import triton
import triton.language as tl

from crossentropy._backends.triton._elementary import FAINT, log1p_of_ratio, times, transform
from crossentropy._backends.triton._lanes import add, first, merge

_NUMBERS = [
    "outer", "classes", "inner", "row_stride", "class_stride", "gradient_row_stride", "gradient_class_stride",
    "target_row_stride", "coefficient_stride", "coefficient_kind", "begin", "ignore_index",
]  # fmt: skip
"""Arguments on whose values no binary depends."""
COMPLETE, MEASURE, DERIVE = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)


@triton.jit(do_not_specialize=_NUMBERS)
def row_kernel(
    logits, probabilities, weight, label, apart_logit, coefficient, uniform,  # read; None: the loss has none
    gradient, loss, entropy, logsumexp,  # left; None: not wanted
    maximum, others, apart, weighted, mass, elsewhere, energy, target, top,  # sums; DERIVE reads maximum and top
    scale, tilt, peak, extra,  # read by DERIVE
    outer, classes, inner,
    row_stride, class_stride, gradient_row_stride, gradient_class_stride,
    target_row_stride, target_class_stride, target_inner_stride, coefficient_stride, coefficient_kind,
    begin, ignore_index, inner_scale, outer_scale, smoothing, share, z_loss,
    TASK: tl.constexpr, STATISTICS: tl.constexpr, SMOOTHED: tl.constexpr, Z_LOSS: tl.constexpr,
    CAPPED: tl.constexpr, SCALED: tl.constexpr,
    ACROSS: tl.constexpr, SINGLE: tl.constexpr, R: tl.constexpr, BLOCK: tl.constexpr, UNIT: tl.constexpr,
):  # fmt: skip
    SOFT: tl.constexpr = probabilities is not None
    LARGEST: tl.constexpr = STATISTICS or SOFT
    TAU: tl.constexpr = SMOOTHED or SOFT

    o, i, row, valid, classes = place(outer, classes, inner, ACROSS, R, UNIT)
    logits += o * row_stride * UNIT + i
    class_stride = step(class_stride, ACROSS, UNIT)
    if SOFT:
        probabilities += o * target_row_stride * UNIT + i * target_inner_stride

    # what is known of them
    at, ignored, unknown = find_label(label, row, valid, begin, classes, ignore_index)
    c, c_entropy, c_logsumexp = read_coefficients(
        coefficient, row, valid, coefficient_stride, coefficient_kind, STATISTICS, label is not None
    )
    if TASK == COMPLETE:
        c = tl.where(unknown, float("nan"), c)
    c = tl.where(ignored, 0.0, c)
    exact = tl.zeros((R,), tl.float32)
    if apart_logit is not None:
        exact = tl.load(apart_logit + row, mask=valid, other=0.0)
    reads = valid
    if not (ACROSS or STATISTICS):  # across, a mask that depends on values would break wide loads into narrow ones
        reads = valid & ~ignored
    column = tl.arange(0, BLOCK)
    z, slope, tau = read(
        column, classes, reads, at, exact, logits, class_stride, apart_logit, probabilities, target_class_stride,
        weight, inner_scale, outer_scale, smoothing, share, STATISTICS, SMOOTHED, CAPPED, SCALED,
    )  # fmt: skip

    if TASK == DERIVE:
        m = tl.load(maximum + row, mask=valid, other=0.0)
        by = tl.load(scale + row, mask=valid, other=0.0)
        at_k = tl.load(peak + row, mask=valid, other=0.0)
        slant, at_label, k = by, by, at
        if LARGEST:
            k = (tl.load(top + row, mask=valid, other=0) - begin).to(tl.int32)
        if STATISTICS:
            slant = tl.load(tilt + row, mask=valid, other=0.0)
            at_label = tl.load(extra + row, mask=valid, other=0.0)
    else:
        label_z = exact
        if label is not None:
            if apart_logit is None:
                label_z = tl.load(logits + at.to(tl.int64) * class_stride, mask=at >= 0, other=0.0).to(tl.float32)
            label_z, _ = transform(label_z, inner_scale, outer_scale, CAPPED, SCALED)
        label_z = tl.where(at >= 0, label_z, -float("inf"))
        lm, lk, lo, le, lt, lw, lh = first(z, tau, column)  # the lanes
        if not SINGLE:
            for start in range(BLOCK, classes, BLOCK):
                z, slope, tau = read(
                    start + column, classes, reads, at, exact, logits, class_stride, apart_logit, probabilities,
                    target_class_stride, weight, inner_scale, outer_scale, smoothing, share,
                    STATISTICS, SMOOTHED, CAPPED, SCALED,
                )  # fmt: skip
                lm, lk, lo, le, lt, lw, lh = add(
                    lm, lk, lo, le, lt, lw, lh, z, tau, start + column, LARGEST, STATISTICS, TAU
                )
        m, z_k, k, sum_others, sum_energy, sum_weighted, sum_mass, sum_elsewhere = merge(
            lm, lk, lo, le, lt, lw, lh, label_z, LARGEST, STATISTICS, TAU
        )
        count = tl.full((R,), 1.0, tl.float32)
        if weight is not None and not SOFT:
            count = tl.load(weight + at, mask=at >= 0, other=0.0)
        if TAU and not SOFT:  # of the label, which no lane has met
            sum_weighted += times(tl.where(at >= 0, share * count, 0.0), z_k - m)
        if not LARGEST:
            k = at
        keep(maximum, row, m, valid)
        keep(others, row, sum_others, valid)
        keep(apart, row, z_k, valid)
        keep(weighted, row, sum_weighted, valid)
        keep(mass, row, sum_mass, valid)
        keep(elsewhere, row, sum_elsewhere, valid)
        keep(energy, row, sum_energy, valid)
        keep(target, row, label_z, valid)
        keep(top, row, k.to(tl.int64) + begin, valid)
        if TASK == COMPLETE:
            if STATISTICS:
                result, of_entropy, lse, by, slant, at_k = conclude_statistics(
                    m, sum_others, z_k, sum_energy, label_z, k == at, c, c_entropy, c_logsumexp, label is not None
                )
                at_label = c
                keep(entropy, row, of_entropy, valid)
                keep(logsumexp, row, lse, valid)
            else:
                result, by, at_k = conclude(
                    m, sum_others, z_k, sum_weighted, sum_mass, sum_elsewhere, c, count, uniform, smoothing, share,
                    z_loss, SOFT, SMOOTHED, Z_LOSS,
                )  # fmt: skip
                slant, at_label = by, by
            keep(loss, row, tl.where(ignored, 0.0, tl.where(unknown, float("nan"), result)), valid)

    if gradient is not None:
        gradient += o * gradient_row_stride * UNIT + i
        gradient_class_stride = step(gradient_class_stride, ACROSS, UNIT)
        idle = (c == 0.0) & (c_entropy == 0.0) & (c_logsumexp == 0.0)
        tl.debug_barrier()  # the gradient may replace logits that another warp has yet to read
        if SINGLE:
            g = derived(z, slope, tau, column, k, at, m, by, slant, at_k, at_label, c, idle, STATISTICS, TAU, CAPPED)
            write(gradient, gradient_class_stride, column, classes, valid, g)
        else:
            for b in range(tl.cdiv(classes, BLOCK)):
                behind = (tl.cdiv(classes, BLOCK) - 1 - b) * BLOCK + column
                z, slope, tau = read(
                    behind, classes, reads, at, exact, logits, class_stride, apart_logit, probabilities,
                    target_class_stride, weight, inner_scale, outer_scale, smoothing, share,
                    STATISTICS, SMOOTHED, CAPPED, SCALED,
                )  # fmt: skip
                g = derived(
                    z, slope, tau, behind, k, at, m, by, slant, at_k, at_label, c, idle, STATISTICS, TAU, CAPPED
                )
                write(gradient, gradient_class_stride, behind, classes, valid, g)


# --- where they are -----------------------------------------------------------------------------------------------


@triton.jit
def place(outer, classes, inner, ACROSS: tl.constexpr, R: tl.constexpr, UNIT: tl.constexpr):
    """Rows of a program by both indices and as one, which of them there are, and how many classes."""
    o = tl.program_id(0).to(tl.int64)
    if ACROSS:
        inner = inner.to(tl.int64) * UNIT
        strips = tl.cdiv(inner, R)
        i = o % strips * R + tl.arange(0, R)
        o = o // strips
        valid = i < inner
    else:
        classes *= UNIT
        i = tl.zeros((R,), tl.int64)
        o = o * R + tl.arange(0, R)
        valid = o < outer
    return o, i, o * inner + i, valid, classes


@triton.jit
def step(class_stride, ACROSS: tl.constexpr, UNIT: tl.constexpr):
    """From one class to the next."""
    return class_stride.to(tl.int64) * UNIT if ACROSS else 1


# --- what belongs to rows -----------------------------------------------------------------------------------------


@triton.jit
def find_label(label, row, valid, begin, classes, ignore_index):
    """The label among these classes, −1 where it is none of them; which rows are ignored, and which have no class."""
    at = tl.full(row.shape, -1, tl.int32)
    ignored = ~valid
    unknown = row < 0
    if label is not None:
        y = tl.load(label + row, mask=valid, other=0)
        ignored = ~valid | (y == ignore_index)
        unknown = ~ignored & ((y < begin) | (y >= begin + classes))
        at = tl.where(ignored | unknown, -1, y - begin).to(tl.int32)
    return at, ignored, unknown


@triton.jit
def read_coefficients(coefficient, row, valid, stride, kind, STATISTICS: tl.constexpr, LABELLED: tl.constexpr):
    """Of the loss; or of log-probability, entropy and logsumexp."""
    c = tl.zeros(row.shape, tl.float32)
    c_entropy, c_logsumexp = c, c
    if coefficient is not None:
        if STATISTICS:
            c_entropy = tl.load(coefficient + kind + row * stride, mask=valid, other=0.0)
            c_logsumexp = tl.load(coefficient + 2 * kind + row * stride, mask=valid, other=0.0)
        if LABELLED or not STATISTICS:
            c = tl.load(coefficient + row * stride, mask=valid, other=0.0)
    return c, c_entropy, c_logsumexp


@triton.jit
def logarithms(m, others, z_k):
    """Logarithms of s and of 1 / p_k, lse, exp(z_k − m), and s."""
    above = z_k - m
    s_k = tl.exp(above)
    s = others + s_k
    near, far = log1p_of_ratio(others / s_k), tl.log(s)
    sure = s_k > others
    log_s = tl.where(sure, above + near, far)
    lse = tl.where(m == float("inf"), float("inf"), m + log_s)
    return log_s, tl.where(sure, near, far - above), lse, s_k, s


@triton.jit
def conclude(
    m, others, z_k, weighted, mass, elsewhere, c, count, uniform, smoothing, share, z_loss,
    SOFT: tl.constexpr, SMOOTHED: tl.constexpr, Z_LOSS: tl.constexpr,
):  # fmt: skip
    """The loss, and what makes its gradient: the scale, and the peak."""
    log_s, information, lse, s_k, s = logarithms(m, others, z_k)
    if SOFT:
        loss = times(mass, log_s) - weighted
    else:
        mass = (1.0 - smoothing) * count
        elsewhere = tl.zeros_like(count)
        loss = times(mass, information)
        if SMOOTHED:
            of_all = smoothing
            if uniform is not None:
                of_all = tl.load(uniform)
            loss += of_all * log_s - weighted
            mass += of_all
            elsewhere = of_all - share * count
    by = c / s
    peak = c * elsewhere - by * (mass * others)
    if Z_LOSS:
        pull = 2.0 * z_loss * lse * count
        loss += z_loss * times(count, lse * lse)
        peak += by * (pull * s_k)
        mass += pull
    return loss, by * mass, peak


@triton.jit
def conclude_statistics(
    m, others, z_k, energy, label_z, of_label, c, c_entropy, c_logsumexp, LABELLED: tl.constexpr
):  # fmt: skip
    """Log-probability, entropy and lse, and what makes the gradient of all: scale, tilt, and the peak."""
    log_s, _information, lse, s_k, s = logarithms(m, others, z_k)
    log_p = (label_z - m) - log_s if LABELLED else tl.zeros_like(m)
    mean, certain = energy / s, s_k / s
    peak = (c_logsumexp - c_entropy * (tl.maximum(z_k - m, FAINT) - mean)) * certain
    peak += c * tl.where(of_label, others / s, -certain)
    return log_p, log_s - mean, lse, (c_logsumexp - c + c_entropy * mean) / s, -c_entropy / s, peak


@triton.jit
def keep(where, row, value, valid):
    """Store what is wanted."""
    if where is not None:
        tl.store(where + row, value, mask=valid)


# --- tiles --------------------------------------------------------------------------------------------------------


@triton.jit
def read(
    column, classes, reads, at, exact, logits, class_stride, apart_logit, probabilities, target_class_stride, weight,
    inner_scale, outer_scale, smoothing, share,
    STATISTICS: tl.constexpr, SMOOTHED: tl.constexpr, CAPPED: tl.constexpr, SCALED: tl.constexpr,
):  # fmt: skip
    """Transformed logits, with −inf where there is none and at a label that is apart; the softcap's slope; and τ."""
    there = (column < classes)[None, :] & reads[:, None]
    at_label = column[None, :] == at[:, None]
    steps = column.to(tl.int64)
    x = tl.load(logits[:, None] + (steps * class_stride)[None, :], mask=there, other=-float("inf")).to(tl.float32)
    if apart_logit is not None:
        x = tl.where(at_label, exact[:, None], x)
    x, slope = transform(x, inner_scale, outer_scale, CAPPED, SCALED)
    if not STATISTICS and probabilities is None:
        there = there & ~at_label
    z = tl.where(there, x, -float("inf"))
    tau = z
    if probabilities is not None:
        tau = tl.load(probabilities[:, None] + (steps * target_class_stride)[None, :], mask=there, other=0.0)
        tau = tau.to(tl.float32)
        if SMOOTHED:
            tau = (1.0 - smoothing) * tau + share
    elif SMOOTHED:
        tau = tl.zeros_like(z) + share
    if probabilities is not None or SMOOTHED:
        if weight is not None:
            tau *= tl.load(weight + column, mask=column < classes, other=0.0)[None, :]
        tau = tl.where(there, tau, 0.0)
    return z, slope, tau


@triton.jit
def derived(
    z, slope, tau, column, k, at, m, by, slant, at_k, at_label, c, idle,
    STATISTICS: tl.constexpr, TAU: tl.constexpr, CAPPED: tl.constexpr,
):  # fmt: skip
    """The gradient of a tile."""
    d = z - m[:, None]
    g = tl.exp(d)
    if STATISTICS:
        g *= by[:, None] + slant[:, None] * tl.maximum(d, FAINT)
        g = tl.where(column[None, :] == at[:, None], g + at_label[:, None], g)
    else:
        g *= by[:, None]
        if TAU:
            g -= c[:, None] * tau
    g = tl.where(column[None, :] == k[:, None], at_k[:, None], g)
    if CAPPED:
        g *= slope
    return tl.where(idle[:, None], 0.0, g)


@triton.jit
def write(gradient, class_stride, column, classes, valid, g):
    where = gradient[:, None] + (column.to(tl.int64) * class_stride)[None, :]
    tl.store(where, g.to(gradient.dtype.element_ty), mask=(column < classes)[None, :] & valid[:, None])
