// Rows and strips of one dtype in memory: T, D(load), D(part), D(store), D(rest), D(narrow). Included once for each.

// Not D(rest) of one: LLVM 22 stores four bytes for the two of a narrowed lane under a constant mask of one.
INLINE void D(put)(T *g, float x) { *g = D(narrow)(all(x))[0]; }
INLINE void D(save)(T *g, V v, int n) { n == W ? D(store)(g, v) : D(rest)(g, v, n); }

// Where the logits of a row are, as the loss sees them: in memory, or transformed in `made`. There is also room for exp.
// And where the upstream of their log-probabilities is, or the target.
struct D(view) { const T *z; float *made; const T *upstream; const void *target; };

// n ≤ W of them from i on, `fill` in the other lanes.
INLINE V D(logits)(struct D(view) v, int64_t i, int n, float fill, int how) {
  if (how & TRANSFORMED) return n == W ? load_f32(v.made + i) : part_f32(v.made + i, n, fill);
  return n == W ? D(load)(v.z + i) : D(part)(v.z + i, n, fill);
}
INLINE float D(logit)(struct D(view) v, int64_t i, int how) { return D(logits)(v, i, 1, 0, how)[0]; }

// The target, so many entries on; and τ of n ≤ W classes from i on, 0 in the other lanes. Positions share a class weight.
INLINE const void *D(probabilities)(const struct job *p, int64_t i) {
  return (const char *)p->target + i * (int64_t)(p->target_dtype == FLOAT32 ? sizeof(float) : sizeof(T));
}
INLINE V D(tau)(const struct job *p, const void *target, int64_t i, int n, V weight) {
  V t = p->target_dtype == FLOAT32 ? of_rows(target, i, n) : n == W ? D(load)((const T *)target + i) : D(part)((const T *)target + i, n, 0);
  t = weight * (p->on_label * t + p->share);
  return n == W ? t : pick((I)(counted() < n), t, all(0));
}
INLINE V D(weight)(const struct job *p, int64_t i, int n) { return p->weight ? of_rows(p->weight, i, n) : all(1); }

INLINE struct D(view) D(viewed)(const struct job *p, int64_t r, float *room, int how) {
  const T *z = (const T *)p->logits + r * p->row;
  for (int64_t i = 0, n; how & TRANSFORMED && i < p->classes; i += W) {
    n = p->classes - i < W ? p->classes - i : W;
    keep(room, i, transformed(p, n == W ? D(load)(z + i) : D(part)(z + i, n, 0)), n);
  }
  return (struct D(view)){z, room, 0, how & SOFT ? D(probabilities)(p, r * p->target_row) : 0};
}

// The first W of n entries, or all of them.
INLINE V D(some)(const T *z, int n) { return n < W ? D(part)(z, n, 0) : D(load)(z); }

// Log-probabilities from what is kept for gradients.
INLINE V D(log_p)(V x, V m, V log) { return sizeof(T) == sizeof(float) ? x : x - m - log; }

// --- rows: classes lie together ------------------------------------------------------------------------------------

// The largest of the classes from b to e, and `least`; nan where one is, if it is to be the class apart.
INLINE float D(top)(struct D(view) z, int64_t b, int64_t e, float least, int how) {
  V m[4] = {all(least), all(least), all(least), all(least)};
  I odd = {0};
  int64_t i = b;
  for (; i + 4 * W <= e; i += 4 * W)
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
      V x = D(logits)(z, i + j * W, W, 0, how);
      if (how & TOPPED) odd |= (I)(x != x);
      m[j] = larger(x, m[j]);
    }
  for (; i < e; i += W) {
    V x = D(logits)(z, i, e - i < W ? e - i : W, -INFINITY, how);
    if (how & TOPPED) odd |= (I)(x != x);
    m[0] = larger(x, m[0]);
  }
  for (int j = 0; how & TOPPED && j < W; j++)
    if (odd[j]) return NAN;
  return largest(larger(larger(m[0], m[1]), larger(m[2], m[3])));
}

// The first class that is the largest, or the first nan.
INLINE int64_t D(first)(const struct job *p, struct D(view) z, float top, int how) {
  for (int64_t i = 0; i < p->classes; i += W) {
    const int n = p->classes - i < W ? p->classes - i : W;
    V x = D(logits)(z, i, n, 0, how);
    I found = (I)(x == top) | (I)(x != x);
    for (int j = 0; any(found) && j < n; j++)
      if (found[j]) return i + j;
  }
  return 0;
}

struct D(partial) { V others[4], weighted, mass, elsewhere, energy; };

// Add the classes from b to e; but not k, if that is in the first W of them. What is added meets what was there once.
INLINE void D(add)(const struct job *p, struct D(view) z, int64_t b, int64_t e, V m, int64_t k, int how, struct D(partial) *s) {
  struct D(partial) t = {{{0}}, {0}, {0}, {0}, {0}};
  int64_t i = b;
  if (k < 0 && !(how & (WEIGHTED | TOPPED)))
    for (; i + 4 * W <= e; i += 4 * W)
#pragma GCC unroll 4
      for (int j = 0; j < 4; j++) {
        V x = exponential(D(logits)(z, i + j * W, W, 0, how) - m);
        if (how & KEPT) store_f32(z.made + i + j * W, x);
        t.others[j] += x;
      }
  for (; i < e; i += W) {
    const int n = e - i < W ? e - i : W;
    V d = D(logits)(z, i, n, -INFINITY, how) - m, x = exponential(d);
    if (how & WEIGHTED) t.weighted += filled(p->share * (p->weight ? times(of_rows(p->weight, i, n), d) : d), n, 0);
    if (how & ENERGY) t.energy += larger(all(-1000.f), d) * x;
    if (how & KEPT) keep(z.made, i, x, n);
    const I apart = k >= 0 ? (I)(counted() == (int32_t)(k - i)) : (I){0};
    if (how & SOFT) {
      V tau = D(tau)(p, z.target, i, n, D(weight)(p, i, n));
      t.weighted += times(tau, d), t.mass += tau, t.elsewhere += pick(apart, all(0), tau);
    }
    t.others[0] += pick(apart, all(0), x);
  }
  for (int j = 0; j < 4; j++) s->others[j] += t.others[j];
  s->weighted += t.weighted, s->energy += t.energy, s->mass += t.mass, s->elsewhere += t.elsewhere;
}

// The sums of a row whose class k is apart, none if it is negative, in a lane. The class apart, which may be the largest
// instead. Where nothing but them is wanted they go block by block, which are read from memory once; else a row is
// read twice.
INLINE int64_t D(measure)(const struct job *p, struct D(view) z, int64_t k, int how, struct sums *row, int lane) {
  const int64_t C = p->classes, step = how & (WEIGHTED | TOPPED | KEPT) ? C : BLOCK;
  struct D(partial) s = {{{0}}, {0}, {0}, {0}, {0}};
  float apart = how & TOPPED || k < 0 ? -INFINITY : D(logit)(z, k, how), m = apart > LOWEST ? apart : LOWEST;
  for (int64_t b = 0, e; b < C; b = e) {
    e = C - b < step ? C : b + step;
    const float now = D(top)(z, b, e, how & TOPPED ? -INFINITY : m, how);
    if (how & TOPPED) {
      k = D(first)(p, z, now, how), apart = now, m = now < LOWEST ? LOWEST : now;
    } else if (now > m) {
      for (int j = 0; b && j < 4; j++) s.others[j] *= exponential(all(m - now)) * UNIT;
      m = now;
    }
    for (int64_t a = b, o; a < e; a = o) {
      o = e - a < BLOCK ? e : a + BLOCK;
      const int64_t at = k >= a && k < o ? k - (k - a) % W : o, next = o - at < W ? o : at + W;
      D(add)(p, z, a, at, all(m), -1, how, &s);
      if (at < o) D(add)(p, z, at, next, all(m), k, how, &s);
      if (next < o) D(add)(p, z, next, o, all(m), -1, how, &s);
    }
  }
  row->maximum[lane] = m, row->apart[lane] = apart;
  row->others[lane] = total((s.others[0] + s.others[1]) + (s.others[2] + s.others[3])) * UNIT;
  if (how & (WEIGHTED | SOFT)) row->weighted[lane] = total(s.weighted);
  if (how & SOFT) row->mass[lane] = total(s.mass), row->elsewhere[lane] = total(s.elsewhere);
  if (how & ENERGY) row->energy[lane] = total(s.energy) * UNIT;
  return k;
}

INLINE void D(fill)(T *g, int64_t n, float x) {
  for (int64_t i = 0; i < n; i += W) D(save)(g + i, all(x), n - i < W ? n - i : W);
}

// What the gradient of classes is lent: their weights, where smoothing needs them, or τ.
INLINE V D(lent)(const struct job *p, struct D(view) z, int64_t i, int n, int how) {
  return how & SOFT ? D(tau)(p, z.target, i, n, D(weight)(p, i, n)) : how & WEIGHTED ? D(weight)(p, i, n) : all(1);
}

// The gradient of n ≤ W classes from i on; or their log-probabilities, or the gradient of those of which `upstream` is one.
INLINE V D(made)(const struct job *p, struct D(view) z, int64_t i, int n, V m, const struct pull *by, int how) {
  if (how & KEPT) return of_rows(z.made, i, n) * by->scale;
  V x = D(logits)(z, i, n, 0, how);
  if (how & NORMAL) return x - m - by->scale;
  if (how & PROJECTED) return D(some)(z.upstream + i, n) - exponential(D(log_p)(x, m, by->weighted)) * UNIT * by->scale;
  return slant(p, x, D(lent)(p, z, i, n, how), m, by, how);
}

// That of a row, whole lines past the caches if it is to go there; `next` is fetched meanwhile.
INLINE void D(derive)(const struct job *p, struct D(view) z, T *g, V m, const struct pull *by, int how, const T *next) {
  const int64_t C = p->classes, line = 64 / sizeof(T);
#define MADE(at, n) D(made)(p, z, at, n, m, by, how)
  int64_t i = 0;
  if (p->far) {
    const int64_t ahead = ((64 - ((uintptr_t)g & 63)) & 63) / sizeof(T), head = ahead < C ? ahead : C;
    for (; i < head; i += W) D(save)(g + i, MADE(i, head - i < W ? head - i : W), head - i < W ? head - i : W);
    _Alignas(64) T out[64 / sizeof(T)];
    for (i = head; i + line <= C; i += line) {
      if (next) __builtin_prefetch(next + i, 0, 2);
#pragma GCC unroll 4
      for (int j = 0; j < line; j += W) D(store)(out + j, MADE(i + j, W));
      stream(g + i, out);
    }
  }
  for (; i + 4 * W <= C; i += 4 * W)
#pragma GCC unroll 4
    for (int j = 0; j < 4 * W; j += W) D(store)(g + i + j, MADE(i + j, W));
  for (; i < C; i += W) D(save)(g + i, MADE(i, C - i < W ? C - i : W), C - i < W ? C - i : W);
#undef MADE
}

// The gradient of a row, from lane j of what makes it, whose class apart is k.
INLINE void D(gradient)(
    const struct job *p, struct D(view) z, T *g, int64_t label, int64_t k, V m, const struct pull *by, int how, const T *next) {
  // what is there instead at the class apart, and at the label; first, for the gradient may replace the logits
  const int apart = k >= 0 && k < p->classes, other = label >= 0 && label != k;
  float at_k = 0, at_label = 0;
  if (apart) at_k = by->peak[0] * slope(p, all(D(logit)(z, k, how)), how)[0];
  if (other) {
    V x = all(D(logit)(z, label, how));
    at_label = (slant(p, x, all(0), m, by, how) + by->extra * slope(p, x, how))[0];
  }
  D(derive)(p, z, g, m, by, how, next);
  if (other) D(put)(g + label, at_label);
  if (apart) D(put)(g + k, at_k);
}

// n ≤ W rows from r on: the sums of each, then what follows of them for all at once, then the gradient of each.
INLINE void D(group)(const struct job *p, int64_t r, int n, const T *next, float *room, int how) {
  const struct labels l = labels(p, r, n);
  struct sums row = {all(0), all(0), all(0), all(0), all(0), all(0), all(0), all(0)};
  struct pull by;
  struct D(view) z[W];
  V c[3];
  I k = l.at;
  coefficients(p, r, n, &l, c);
  const I quiet = silent(p, c);
  if (p->task == DERIVE) row.maximum = known(p, r, n, c[0], &by);
  for (int j = 0; j < n; j++) {
    if (p->task == COMPLETE && !(how & TOPPED) && (l.ignored[j] || l.unknown[j])) continue;
    z[j] = D(viewed)(p, r + j, how & KEPT ? room + j * p->classes : room, how);
    if (p->task != DERIVE) k[j] = D(measure)(p, z[j], k[j], how, &row, j);
    else if (how & TOPPED) k[j] = (int32_t)(p->top[r + j] - p->begin);
    if (how & ENERGY) row.target[j] = l.at[j] < 0 ? -INFINITY : D(logit)(z[j], l.at[j], how);
  }
  if (p->task != DERIVE) record(p, r, n, &row, k);
  if (p->task == MEASURE) return;
  if (p->task == COMPLETE) {
    if (how & ENERGY) conclude_statistics(p, r, n, &row, &l, k, c, &by);
    else conclude(p, r, n, &row, &l, c[0], &by);
  }
  for (int j = 0; p->gradient && j < n; j++) {
    T *g = (T *)p->gradient + (r + j) * p->gradient_row;
    const struct pull one = lane(&by, j);
    if (quiet[j] || one.scale[0] != one.scale[0]) D(fill)(g, p->classes, quiet[j] ? 0 : NAN);
    else D(gradient)(p, z[j], g, l.at[j], k[j], all(row.maximum[j]), &one, how, next);
  }
}

// n ≤ W rows from r on: their log-probabilities.
INLINE void D(normals)(const struct job *p, int64_t r, int n, const T *next, int how) {
  V m = all(0), sum = all(0), others = all(0);
  for (int j = 0; j < n; j++) {
    const struct D(view) z = {(const T *)p->logits + (r + j) * p->row, 0, 0, 0};
    float most = LOWEST;
    V s = all(0), o = all(0);
    for (int64_t b = 0, e; b < p->classes; b = e) {
      e = p->classes - b < SHORT * W ? p->classes : b + SHORT * W;
      const float now = D(top)(z, b, e, most, how);
      if (b && now > most) o = s *= exponential(all(most - now)) * UNIT;
      most = now;
      V t = all(0), u = all(0);
      for (int64_t i = b; i < e; i += W) {
        V d = D(logits)(z, i, e - i < W ? e - i : W, -INFINITY, how) - most, x = exponential(d);
        t += x, u += without(x, d);
      }
      s += t, o += u;
    }
    m[j] = most, sum[j] = total(s) * UNIT, others[j] = total(o) * UNIT;
  }
  const struct pull by = {.scale = normaliser(p, r, n, m, sum, others)};
  for (int j = 0; j < n; j++) {
    const struct D(view) z = {(const T *)p->logits + (r + j) * p->row, 0, 0, 0};
    const struct pull one = lane(&by, j);
    D(derive)(p, z, (T *)p->gradient + (r + j) * p->gradient_row, all(m[j]), &one, how, next);
  }
}

// Σ of the entries, but for the k-th if that is not negative.
INLINE V D(sum)(const T *g, int64_t n, int64_t k) {
  V sum = all(0);
  for (int64_t i = 0, e; i < n;) {
    V s[4] = {{0}};
    e = n - i < 4 * SHORT * W ? n : i + 4 * SHORT * W;
    for (; k < 0 && i + 4 * W <= e; i += 4 * W)
#pragma GCC unroll 4
      for (int j = 0; j < 4; j++) s[j] += D(load)(g + i + j * W);
    for (; i < e; i += W) {
      V x = D(some)(g + i, e - i < W ? e - i : W);
      s[0] += k < 0 ? x : pick((I)(counted() == (int32_t)(k - i)), all(0), x);
    }
    sum += (s[0] + s[1]) + (s[2] + s[3]);
  }
  return all(total(sum));
}

// The gradient of a row r from its upstream.
INLINE void D(projection)(const struct job *p, int64_t r, const T *next, int how) {
  const int64_t C = p->classes;
  const T *g = (const T *)p->upstream + r * p->gradient_row;
  T *out = (T *)p->gradient + r * p->gradient_row;
  const struct D(view) z = {(const T *)p->logits + r * p->row, 0, g, 0};
  const V m = all(p->normaliser ? p->maximum[r] : 0), log = all(p->normaliser ? p->normaliser[r] : 0);
  const float top = D(top)(z, 0, C, -INFINITY, how);
  const struct pull by = {.scale = D(sum)(g, C, -1), .weighted = log};
  D(derive)(p, z, out, m, &by, how, next);
  const V log_p = D(log_p)(all(top), m, log);
  if (!(log_p[0] > CERTAIN)) return;
  const int64_t k = D(first)(p, z, top, how);
  D(put)(out + k, (D(some)(g + k, 1) * rest(log_p) - exponential(log_p) * UNIT * D(sum)(g, C, k))[0]);
}

// Short rows go together: what follows of their sums costs as much as a hundred exponentials. Long ones stay in cache.
INLINE void D(rows)(const struct job *p, int64_t begin, int64_t end, float *room, int how) {
  const int most = how & TRANSFORMED || p->classes > BLOCK ? 1 : W;
  for (int64_t r = begin; r < end; r += most) {
    const int n = end - r < most ? (int)(end - r) : most;
    const T *next = r + n < end ? (const T *)p->logits + (r + n) * p->row : 0;
    if (how & NORMAL) D(normals)(p, r, n, next, how);
    else if (how & PROJECTED) for (int j = 0; j < n; j++) D(projection)(p, r + j, next, how);
    else D(group)(p, r, n, next, room, how);
  }
}

// --- strips: positions lie together --------------------------------------------------------------------------------

#define LANES (STRIP / W)

// A strip from the room where it was made, whole lines past the caches if it is to go there.
INLINE void D(leave)(const struct job *p, const float *e, T *g, int w, int S) {
  const int64_t line = 64 / sizeof(T);
  for (int64_t i = 0; i < p->classes; i++) {
    const float *from = e + i * S;
    T *to = g + i * p->gradient_across;
    int64_t j = 0;
    if (p->far && !((uintptr_t)to & 63)) {
      _Alignas(64) T out[64 / sizeof(T)];
      for (; j + line <= w; j += line) {
#pragma GCC unroll 4
        for (int a = 0; a < line; a += W) D(store)(out + a, load_f32(from + j + a));
        stream(to + j, out);
      }
    }
    for (; j < w; j += W) D(save)(to + j, load_f32(from + j), w - j < W ? w - j : W);
  }
}

// w ≤ S positions from q on of one outer index; e holds their logits, (C, S).
INLINE void D(strip)(const struct job *p, int64_t outer, int64_t q, int w, int S, float *e, int how) {
  const int64_t C = p->classes, r = outer * p->inner + q;
  const int lanes = (w + W - 1) / W, simple = !(how & ~SOFT);
  const T *z = (const T *)p->logits + outer * p->row + q;
  T *g = p->gradient ? (T *)p->gradient + outer * p->gradient_row + q : 0;
  const void *target = how & SOFT ? D(probabilities)(p, outer * p->target_row + q) : 0;
  struct sums row[LANES];
  struct labels l[LANES];
  struct pull by[LANES];
  I k[LANES], quiet[LANES];
  V c[3];
#define N(j) (w - (j) * W < W ? w - (j) * W : W)
  for (int j = 0; j < lanes; j++) {
    l[j] = labels(p, r + j * W, N(j)), k[j] = l[j].at;
    row[j] = (struct sums){all(-INFINITY), all(0), all(-INFINITY), all(0), all(0), all(0), all(0), all(-INFINITY)};
    coefficients(p, r + j * W, N(j), &l[j], c);
    quiet[j] = silent(p, c);
    if (p->task == DERIVE) row[j].maximum = known(p, r + j * W, N(j), c[0], &by[j]);
    for (int i = 0; p->task == DERIVE && how & TOPPED && i < N(j); i++) k[j][i] = (int32_t)(p->top[r + j * W + i] - p->begin);
  }
  for (int64_t i = 0; i < C; i++)
    for (int j = 0; j < lanes; j++) {
      V x = D(some)(z + i * p->across + j * W, w - j * W);
      if (how & TRANSFORMED) x = transformed(p, x);
      store_f32(e + i * S + j * W, x);
      if (p->task != DERIVE) row[j].maximum = how & TOPPED ? pick((I)(x > row[j].maximum) | (I)(x != x), x, row[j].maximum) : larger(x, row[j].maximum);
    }
  if (p->task != DERIVE) {
    if (how & TOPPED) {
      for (int j = 0; j < lanes; j++) k[j] = (I){0} - 1;
      for (int64_t i = 0; i < C; i++)
        for (int j = 0; j < lanes; j++) {
          V x = load_f32(e + i * S + j * W);
          I found = (k[j] < 0) & ((I)(x == row[j].maximum) | (I)(x != x));
          k[j] = (found & (int32_t)i) | (~found & k[j]);
        }
    }
    for (int j = 0; j < lanes; j++) {
      for (int i = 0; i < N(j); i++) {
        if (k[j][i] >= 0) row[j].apart[i] = e[k[j][i] * S + j * W + i];
        if (l[j].at[i] >= 0) row[j].target[i] = e[l[j].at[i] * S + j * W + i];
      }
      row[j].maximum = larger(all(LOWEST), row[j].maximum);
    }
    for (int64_t b = 0; b < C; b += SHORT) {
      V others[LANES] = {0}, weighted[LANES] = {0}, energy[LANES] = {0}, mass[LANES] = {0}, elsewhere[LANES] = {0};
      for (int64_t i = b; i < C && i < b + SHORT; i++)
        for (int j = 0; j < lanes; j++) {
          V d = load_f32(e + i * S + j * W) - row[j].maximum, x = exponential(d);
          if (how & WEIGHTED) weighted[j] += p->share * (p->weight ? times(all(p->weight[i]), d) : d);
          if (how & ENERGY) energy[j] += larger(all(-1000.f), d) * x;
          if (simple) store_f32(e + i * S + j * W, x);
          const I apart = (I)(k[j] == (int32_t)i);
          if (how & SOFT) {
            V tau = D(tau)(p, target, i * p->target_across + j * W, N(j), all(p->weight ? p->weight[i] : 1));
            weighted[j] += times(tau, d), mass[j] += tau, elsewhere[j] += pick(apart, all(0), tau);
          }
          others[j] += pick(apart, all(0), x);
        }
      for (int j = 0; j < lanes; j++)
        row[j].others += others[j], row[j].weighted += weighted[j], row[j].energy += energy[j], row[j].mass += mass[j],
            row[j].elsewhere += elsewhere[j];
    }
    for (int j = 0; j < lanes; j++) {
      row[j].others *= UNIT, row[j].energy *= UNIT;
      record(p, r + j * W, N(j), &row[j], k[j]);
    }
    if (p->task == MEASURE) return;
  }
  for (int j = 0; p->task == COMPLETE && j < lanes; j++) {
    coefficients(p, r + j * W, N(j), &l[j], c);
    if (how & ENERGY) conclude_statistics(p, r + j * W, N(j), &row[j], &l[j], k[j], c, &by[j]);
    else conclude(p, r + j * W, N(j), &row[j], &l[j], c[0], &by[j]);
  }
  if (!g) return;
  for (int64_t i = 0; i < C; i++)
    for (int j = 0; j < lanes; j++) {
      V x = load_f32(e + i * S + j * W), y, weight = all(how & (WEIGHTED | SOFT) && p->weight ? p->weight[i] : 1);
      if (how & SOFT) weight = D(tau)(p, target, i * p->target_across + j * W, N(j), weight);
      if (simple && p->task != DERIVE) {
        y = x * by[j].scale;
        if (how & SOFT) y -= by[j].weighted * weight;
        y = pick((I)(k[j] == (int32_t)i), by[j].peak, y);
      } else {
        V s = slope(p, x, how);
        y = slant(p, x, weight, row[j].maximum, &by[j], how);
        if (how & ENERGY) y = pick((I)(l[j].at == (int32_t)i), y + by[j].extra * s, y);
        y = pick((I)(k[j] == (int32_t)i), by[j].peak * s, y);
      }
      y = pick(quiet[j], all(0), y);
      store_f32(e + i * S + j * W, y);
    }
  D(leave)(p, e, g, w, S);
#undef N
}

// A strip of what is `across` from class to class, into such room.
INLINE void D(take)(const struct job *p, const T *from, int64_t across, float *e, int w, int S) {
  for (int64_t i = 0; i < p->classes; i++)
    for (int j = 0; j < w; j += W) store_f32(e + i * S + j, D(some)(from + i * across + j, w - j));
}

// A strip of log-probabilities, W positions after W others.
INLINE void D(normal_strip)(const struct job *p, int64_t outer, int64_t q, int w, int S, float *room) {
  const int64_t C = p->classes;
  D(take)(p, (const T *)p->logits + outer * p->row + q, p->across, room, w, S);
  for (int j = 0; j < w; j += W) {
    float *e = room + j;
    V m = all(LOWEST), sum = all(0), others = all(0);
    for (int64_t i = 0; i < C; i++) m = larger(load_f32(e + i * S), m);
    for (int64_t b = 0; b < C; b += SHORT) {
      V s = all(0), o = all(0);
      for (int64_t i = b; i < C && i < b + SHORT; i++) {
        V d = load_f32(e + i * S) - m, x = exponential(d);
        s += x, o += without(x, d);
      }
      sum += s, others += o;
    }
    const V log = normaliser(p, outer * p->inner + q + j, w - j < W ? w - j : W, m, sum * UNIT, others * UNIT);
    for (int64_t i = 0; i < C; i++) store_f32(e + i * S, load_f32(e + i * S) - m - log);
  }
  D(leave)(p, room, (T *)p->gradient + outer * p->gradient_row + q, w, S);
}

// A strip of gradients from their upstreams, with room for both.
INLINE void D(projected_strip)(const struct job *p, int64_t outer, int64_t q, int w, int S, float *room) {
  const int64_t C = p->classes, place = outer * p->gradient_row + q;
  D(take)(p, (const T *)p->logits + outer * p->row + q, p->across, room, w, S);
  D(take)(p, (const T *)p->upstream + place, p->gradient_across, room + C * S, w, S);
  for (int j = 0; j < w; j += W) {
    const int64_t r = outer * p->inner + q + j;
    const int n = w - j < W ? w - j : W;
    const V m = p->normaliser ? of_rows(p->maximum, r, n) : all(0), log = p->normaliser ? of_rows(p->normaliser, r, n) : all(0);
    float *e = room + j, *g = e + C * S;
    V top = all(-INFINITY), sum = all(0), others = all(0);
    for (int64_t b = 0; b < C; b += SHORT) {
      V s = all(0), o = all(0);
      for (int64_t i = b; i < C && i < b + SHORT; i++) {
        V x = D(log_p)(load_f32(e + i * S), m, log), y = load_f32(g + i * S);
        top = larger(x, top), s += y, o += pick((I)(x > CERTAIN), all(0), y);
      }
      sum += s, others += o;
    }
    const V less = rest(top);
    for (int64_t i = 0; i < C; i++) {
      V x = D(log_p)(load_f32(e + i * S), m, log), y = load_f32(g + i * S), probability = exponential(x) * UNIT;
      store_f32(e + i * S, pick((I)(x > CERTAIN), y * less - probability * others, y - probability * sum));
    }
  }
  D(leave)(p, room, (T *)p->gradient + place, w, S);
}

INLINE void D(strips)(const struct job *p, int64_t begin, int64_t end, float *room, int how) {
  const int64_t S = crossentropy_strip(p), each = (p->inner + S - 1) / S;
  for (int64_t t = begin; t < end; t++) {
    const int64_t q = t % each * S;
    const int w = (int)(p->inner - q < S ? p->inner - q : S);
    if (how & NORMAL) D(normal_strip)(p, t / each, q, w, S, room);
    else if (how & PROJECTED) D(projected_strip)(p, t / each, q, w, S, room);
    else D(strip)(p, t / each, q, w, S, room, how);
  }
}

// --- binary losses: each element is a question of its own ----------------------------------------------------------
//
//     u = 1 − y where z ≥ 0, else π y     k = (1 − y) + π y     e = exp(−|z|)     r = σ(−|z|) = e / (1 + e)
//
//     ℓ = w (k log1p(e) + |z| u)          ∂ℓ/∂z = ± w (u − k r),    + where z ≥ 0
//
// Nothing < 0 is added to log1p(e), so that tiny losses and gradients keep their digits.
INLINE void D(ask)(const struct job *p, int64_t begin, int64_t end, int differentiate) {
  for (int64_t b = begin; b < end; b++) {
    const int64_t first = b * p->classes, left = p->row - first, count = left < p->classes ? left : p->classes;
    const T *z = (const T *)p->logits + first;
    const void *target = D(probabilities)(p, first);
    V sum = all(0);
    for (int64_t i = 0; i < count; i += W) {
      const int n = count - i < W ? (int)(count - i) : W;
      V x = D(some)(z + i, n);
      V y = p->target_dtype == FLOAT32 ? of_rows(target, i, n) : D(some)((const T *)target + i, n);
      V weight = p->weight ? of_rows(p->weight + b * p->weight_row, i, n) : all(1);
      V no = 1.f - y, yes = p->pos_weight ? y * of_rows(p->pos_weight + b * p->pos_weight_row, i, n) : y;
      V low = (V)((I)x | INT32_MIN), e = exponential(low);
      I above = (I)(x >= 0.f);
      V wrong = pick(above, no, yes);
      if (differentiate) {
        V c = p->coefficient_step ? of_rows(p->coefficient + first, i, n) : all(*p->coefficient);
        V g = wrong - (yes + no) * (e / (e + 1 / UNIT));
        g = (V)((I)g ^ (~above & INT32_MIN));
        D(save)((T *)p->gradient + first + i, g * (weight * (c * p->outer_scale)), n);
      } else {
        V loss = (yes + no) * logarithm1p(e * UNIT) + times(wrong, -low);
        loss = pick((I)(weight == 0.f), all(0), weight * loss);
        keep(p->loss, first + i, loss, n);
        sum += n == W ? loss : pick((I)(counted() < n), loss, all(0));
      }
    }
    if (p->mass) p->mass[b] = total(sum);
  }
}
static __attribute__((noinline)) void D(losses)(const struct job *p, int64_t begin, int64_t end) { D(ask)(p, begin, end, 0); }
static __attribute__((noinline)) void D(slopes)(const struct job *p, int64_t begin, int64_t end) { D(ask)(p, begin, end, 1); }

// Rows or strips from begin to end, with room for logits. What is common is compiled apart, each into a function of its
// own (one of all of them loses a quarter of the speed of short rows); the rest asks at each step.
#define APART(name, what, how)                                                                             \
  static __attribute__((noinline)) void D(name)(const struct job *p, int64_t begin, int64_t end, float *room) { \
    D(what)(p, begin, end, room, how);                                                                     \
  }
APART(plain, rows, 0)
APART(plain_kept, rows, KEPT)
APART(smooth, rows, WEIGHTED)
APART(statistics, rows, ENERGY)
APART(soft, rows, SOFT)
APART(any, rows, how_of(p))
APART(plain_strips, strips, 0)
APART(soft_strips, strips, SOFT)
APART(any_strips, strips, how_of(p))
APART(normal_rows, rows, NORMAL)
APART(normal_strips, strips, NORMAL)
APART(projected_rows, rows, PROJECTED)
APART(projected_strips, strips, PROJECTED)
#undef APART

static void D(work)(const struct job *p, int64_t begin, int64_t end, float *room) {
  if (p->task == BINARY) {
    (p->gradient ? D(slopes) : D(losses))(p, begin, end);
    return;
  }
  const int how = how_of(p);
  if (how == NORMAL) (p->inner > 1 ? D(normal_strips) : D(normal_rows))(p, begin, end, room);
  else if (how == PROJECTED) (p->inner > 1 ? D(projected_strips) : D(projected_rows))(p, begin, end, room);
  else if (p->inner > 1) (how == SOFT ? D(soft_strips) : how ? D(any_strips) : D(plain_strips))(p, begin, end, room);
  else if (how == 0) D(plain)(p, begin, end, room);
  else if (how == KEPT) D(plain_kept)(p, begin, end, room);
  else if (how == SOFT) D(soft)(p, begin, end, room);
  else (how == WEIGHTED ? D(smooth) : how == ENERGY ? D(statistics) : D(any))(p, begin, end, room);
  if (p->far) fence();
}
