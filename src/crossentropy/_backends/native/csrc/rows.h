// What belongs to rows, in lanes: from statistics to results and to what makes a gradient. A lane is a row.
//
//     m ≥ max z    o = Σ_{c≠k} exp(z_c − m)    a = exp(z_k − m)    s = o + a    t = Σ τ (z − m)    e = Σ exp(z − m) (z − m)
//     τ = w ((1 − ε) p + ε/C) against probabilities p: its mass T = Σ τ, and that elsewhere than at k
//     log s, accurate where k is more likely than all others together:  (z_k − m) + log1p(o / a)
//
//     G = exp(z − m) (scale + tilt (z − m)) − pull w, or − c τ,  at the class apart `peak`
//
// The formulae are those of `crossentropy._backends.chunked`: nothing ever computes 1 − p.
#include "job.h"
#include "lanes.h"

#define LOWEST (-3.40282347e38f)

// How a row is worked on: what its sums need, and whether exponentials are kept until they become its gradient. That saves
// 15 to 35 % of the time, but for long rows of float32, where it costs 15 %: they wait for memory, and not for exp.
enum { TRANSFORMED = 1, WEIGHTED = 2, ENERGY = 4, KEPT = 8, SOFT = 16, NORMAL = 32, PROJECTED = 64, TOPPED = ENERGY | SOFT };

INLINE int how_of(const struct job *p) {
  if (p->task >= NORMALISE) return p->task == NORMALISE ? NORMAL : PROJECTED;
  int is_transformed = p->softcap != 0 || p->inner_scale != 1;
  const int how = is_transformed * TRANSFORMED | (p->target ? SOFT : (p->share != 0) * WEIGHTED) | (p->statistics != 0) * ENERGY;
  const int waits = p->dtype == FLOAT32 && p->classes > 4096;
  return how || p->task != COMPLETE || !p->gradient || p->inner > 1 || waits ? how : KEPT;
}

struct sums { V maximum, others, apart, weighted, mass, elsewhere, energy, target; };
struct pull { V scale, tilt, weighted, peak, extra; };
struct labels {
  I at;                // among the classes at hand; −1 where it is none of them
  I ignored, unknown;  // unknown: no class at all
  V count;             // what the row counts: the class weight
};

// --- logits --------------------------------------------------------------------------------------------------------

INLINE V transformed(const struct job *p, V x) {
  x *= p->inner_scale;
  return p->softcap ? hyperbolic(x) * p->outer_scale : x;
}
// The derivative of softcap, from the transformed logit.
INLINE V slope(const struct job *p, V z, int how) {
  V t = z / p->outer_scale;
  return how & TRANSFORMED && p->softcap ? 1.f - t * t : all(1);
}
// exp(z − m), and the gradient but for the classes apart.
INLINE V slant(const struct job *p, V z, V weight, V m, const struct pull *by, int how) {
  V d = z - m, g = exponential(d);
  g *= how & ENERGY ? by->scale + by->tilt * larger(all(-1000.f), d) : by->scale;
  if (how & (WEIGHTED | SOFT)) g -= by->weighted * weight;
  return how & TRANSFORMED ? g * slope(p, z, how) : g;
}
// A weight times a value, where a weight of 0 annihilates infinity, but not nan.
INLINE V times(V weight, V value) { return pick((I)(weight == 0.f) & (I)(value == value), all(0), weight * value); }

// --- n ≤ W rows from r on ------------------------------------------------------------------------------------------

INLINE V of_rows(const float *x, int64_t r, int n) { return n == W ? load_f32(x + r) : part_f32(x + r, n, 0); }
INLINE void keep(float *x, int64_t r, V v, int n) {
  if (x) n == W ? store_f32(x + r, v) : rest_f32(x + r, v, n);
}

INLINE struct labels labels(const struct job *p, int64_t r, int n) {
  struct labels l = {{0}, {0}, {0}, all(1)};
  l.at -= 1;
  for (int j = 0; j < n && p->label; j++) {
    const int64_t y = p->label[r + j], at = y - p->begin;
    const int inside = y != p->ignore_index && at >= 0 && at < p->classes;
    if (inside) l.at[j] = (int32_t)at;
    l.ignored[j] = -(y == p->ignore_index), l.unknown[j] = -(p->task == COMPLETE && !inside && !l.ignored[j]);
    if (p->weight && inside) l.count[j] = p->weight[at];
  }
  return l;
}

// The coefficients of the results: one, or three for token statistics.
INLINE void coefficients(const struct job *p, int64_t r, int n, const struct labels *l, V *c) {
  for (int i = 0; i < (p->statistics ? 3 : 1); i++) {
    const float *x = p->coefficient ? p->coefficient + i * p->coefficient_kind : 0;
    c[i] = !x ? all(0) : p->coefficient_step ? of_rows(x, r, n) : all(*x);
  }
  c[0] = pick(l->ignored, all(0), pick(l->unknown, all(NAN), c[0]));
  if (p->statistics && !p->label) c[0] = all(0);
}

// Rows without a gradient, whatever their logits are.
INLINE I silent(const struct job *p, const V *c) {
  I none = (I)(c[0] == 0.f);
  return p->statistics ? none & (I)(c[1] == 0.f) & (I)(c[2] == 0.f) : none;
}

struct logarithms { V total, information, sum, apart; };  // log s, −log p_k, s and a

INLINE struct logarithms logarithms(const struct sums *row) {
  V d = row->apart - row->maximum, a = exponential(d) * UNIT, s = row->others + a;
  V near = logarithm1p(row->others / a), far = logarithm(s);
  I above = (I)(a > row->others);
  return (struct logarithms){pick(above, d + near, far), pick(above, near, far - d), s, a};
}
INLINE V logsumexp(V maximum, V log_of_sum) {
  return pick((I)(maximum == INFINITY), all(INFINITY), maximum + log_of_sum);
}

// The loss of rows, and what makes their gradient.
INLINE void conclude(const struct job *p, int64_t r, int n, const struct sums *row, const struct labels *l, V c, struct pull *by) {
  const struct logarithms log = logarithms(row);
  V label = p->on_label * l->count, loss = times(label, log.information), lift = all(0), scale = c / log.sum;
  if (p->target) loss = times(row->mass, log.total) - row->weighted;
  else if (p->share != 0) loss += p->uniform * log.total - row->weighted;
  if (p->z_loss != 0) {
    V lse = logsumexp(row->maximum, log.total);
    loss += p->z_loss * times(l->count, lse * lse);
    lift = 2 * p->z_loss * lse * l->count;
  }
  keep(p->loss, r, pick(l->ignored, all(0), pick(l->unknown, all(NAN), loss)), n);
  by->tilt = by->extra = all(0), by->weighted = p->target ? c : c * p->share;
  by->scale = scale * UNIT, by->peak = -scale * row->others;
  if (p->share != 0 || p->z_loss != 0 || p->weight || p->target) {
    V everywhere = p->target ? row->mass : p->uniform + label;
    V elsewhere = p->target ? row->elsewhere : p->uniform - p->share * l->count;
    by->scale *= everywhere + lift;
    by->peak = c * elsewhere + everywhere * by->peak + scale * (lift * log.apart);
  }
}

// Log-probability, entropy and logsumexp of rows, and what makes the gradient of their weighted sum.
INLINE void conclude_statistics(
    const struct job *p, int64_t r, int n, const struct sums *row, const struct labels *l, I top, const V *c, struct pull *by) {
  const struct logarithms log = logarithms(row);
  V inner = row->energy / log.sum, certain = log.apart / log.sum, log_prob = (row->target - row->maximum) - log.total;
  keep(p->loss, r, p->label ? pick(l->ignored, all(0), pick(l->unknown, all(NAN), log_prob)) : all(0), n);
  keep(p->entropy, r, log.total - inner, n);
  keep(p->logsumexp, r, logsumexp(row->maximum, log.total), n);
  V d = larger(all(-1000.f), row->apart - row->maximum);
  I same = (I)(top == l->at);
  by->scale = (c[2] - c[0] + c[1] * inner) / log.sum * UNIT, by->tilt = -c[1] / log.sum * UNIT, by->weighted = all(0);
  by->peak = (c[2] - c[1] * (d - inner)) * certain + c[0] * pick(same, row->others / log.sum, -certain);
  by->extra = c[0];
}

// What makes the gradient, of rows whose statistics are known: the maximum, and it.
INLINE V known(const struct job *p, int64_t r, int n, V c, struct pull *by) {
  by->scale = of_rows(p->scale, r, n) * UNIT, by->peak = of_rows(p->peak, r, n);
  by->weighted = p->target ? c : p->pull ? of_rows(p->pull, r, n) : all(0);
  by->tilt = p->tilt ? of_rows(p->tilt, r, n) * UNIT : all(0), by->extra = p->extra ? of_rows(p->extra, r, n) : all(0);
  return of_rows(p->maximum, r, n);
}

// --- log-probabilities ---------------------------------------------------------------------------------------------
//
//     log p_c = (z_c − m) − log s                           G_c = g_c − p_c Σ g
//     log p_k = −log1p(Σ_{c≠k} exp(z_c − m))                G_k = g_k (1 − p_k) − p_k Σ_{c≠k} g_c
//
// for the class k with z_k = m, the second line where p_k > 0.61: there can be but one such class. Its log p has all its
// digits, so that 1 − p_k = −expm1(log p_k) has them too.
#define CERTAIN (-.5f)         // log p, as `crossentropy._logspace` has it
#define ALMOST_ONE 1.6487213f  // s where p_k is that

// log s of rows with Σ exp(z − m), and the same without what is 1; nan where that is missing, in a row of −inf.
INLINE V normaliser(const struct job *p, int64_t r, int n, V m, V sum, V others) {
  V log = logarithm1p(pick((I)(sum >= 1.f) & (I)(sum < ALMOST_ONE), others, sum - 1.f));
  keep(p->maximum, r, m, n), keep(p->normaliser, r, log, n);
  return log;
}

// 1 − p = −expm1(log p), of a certain class.
INLINE V rest(V log_p) {
  V t = hyperbolic(-.5f * log_p);
  return 2.f * t / (1.f + t);
}

// Lane j's in all lanes.
INLINE struct pull lane(const struct pull *by, int j) {
  return (struct pull){all(by->scale[j]), all(by->tilt[j]), all(by->weighted[j]), all(by->peak[j]), all(by->extra[j])};
}

// The statistics of rows, whose class apart is `top` where that is the largest, if they are wanted.
INLINE void record(const struct job *p, int64_t r, int n, const struct sums *row, I top) {
  keep(p->maximum, r, row->maximum, n), keep(p->others, r, row->others, n), keep(p->apart, r, row->apart, n);
  keep(p->weighted, r, row->weighted, n), keep(p->mass, r, row->mass, n), keep(p->elsewhere, r, row->elsewhere, n);
  keep(p->energy, r, row->energy, n), keep(p->at_label, r, row->target, n);
  for (int j = 0; j < n && p->top; j++) p->top[r + j] = top[j] + p->begin;
}
