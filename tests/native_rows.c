// Rows of logits by a compiled library, against double precision: for machines that have no torch, or are emulated.
//
//     cc -std=gnu11 -I src/crossentropy/_backends/native/csrc tests/native_rows.c -o rows -lm && ./rows LIBRARY
//
// Each instruction set that the library finds, each dtype, rows and strips, options, log_softmax, and rows that are hostile.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "job.h"
#ifdef _WIN32
#include <windows.h>
#undef far  // a word of 16-bit compilers
#define OPEN(path) LoadLibraryA(path)
#define FIND(library, name) ((void *)GetProcAddress(library, name))
#else
#include <dlfcn.h>
#define OPEN(path) dlopen(path, RTLD_NOW)
#define FIND(library, name) dlsym(library, name)
#endif

struct options { float smoothing, z_loss, softcap; int weighted, statistics, soft; };
static const struct options OPTIONS[] = {
    {0}, {.smoothing = 0.1f}, {.z_loss = 1e-2f}, {.softcap = 5}, {.weighted = 1}, {0.2f, 1e-3f, 7, 1, 0, 0},
    {.statistics = 1}, {.softcap = 6, .statistics = 1}, {.soft = 1}, {0.2f, 1e-3f, 7, 1, 0, 1},
};
static const int64_t SHAPES[][3] = {  // outer, classes, inner
    {5, 1, 1}, {5, 2, 1}, {33, 17, 1}, {3, 700, 1}, {1, 2051, 1}, {2, 5, 7}, {3, 21, 300}, {1, 700, 40}, {1, 3, 1024},
};
static const float HOSTILE[][3] = {
    {0, -INFINITY, 1}, {-INFINITY, -INFINITY, -INFINITY}, {INFINITY, 0, 1}, {NAN, 0, 1}, {INFINITY, INFINITY, 0},
    {INFINITY, -INFINITY, NAN}, {-3.4e38f, -3.4e38f, -3.4e38f}, {-3.4e38f, 0, -INFINITY}, {3.4e38f, 0, 1},
    {0, -60, -100}, {0, -110, -131}, {1e30f, -1e30f, 0}, {-0.f, 0, 1e-45f}, {88, 89, -89},
};
#define COUNT(x) ((int64_t)(sizeof(x) / sizeof *(x)))
#define IGNORED (-100)

static int32_t (*run)(struct job *), (*isa)(int32_t);
static int64_t compared, wrong;

// --- the three dtypes ----------------------------------------------------------------------------------------------

static const double EPSILON[] = {0x1p-23, 0x1p-7, 0x1p-10};

static double get(const void *x, int64_t i, int dtype) {
  if (dtype == FLOAT32) return ((const float *)x)[i];
  if (dtype == FLOAT16) return ((const _Float16 *)x)[i];
  uint32_t bits = (uint32_t)((const uint16_t *)x)[i] << 16;
  float value;
  memcpy(&value, &bits, 4);
  return value;
}
static void put(void *x, int64_t i, int dtype, float value) {
  if (dtype == FLOAT32) ((float *)x)[i] = value;
  else if (dtype == FLOAT16) ((_Float16 *)x)[i] = (_Float16)value;
  else memcpy((uint16_t *)x + i, (char *)&value + 2, 2);
}

static uint32_t seed = 1;
static float any(void) { return (float)((seed = seed * 1664525u + 1013904223u) >> 8) * 0x1p-24f; }

// --- one row in double precision -----------------------------------------------------------------------------------

struct row { double loss, entropy, logsumexp; int64_t top; };

// With z the logits, τ the target and e = exp(z − m): the gradient is p_c Σ_{j≠c} τ_j − τ_c Σ_{j≠c} e_j / s, which keeps its
// digits where p is almost 1; and λ n lse² adds 2 λ n lse p_c.
static struct row reference(const struct job *p, double *z, double *gradient, int64_t label, const float *target, const float *c) {
  const int64_t C = p->classes;
  double *e = calloc(2 * C, sizeof *e), *t = e + C, m = -INFINITY, s = 0, targets = 0, inner = 0;
  struct row row = {0};
  for (int64_t i = 0; i < C; i++) {
    z[i] *= p->inner_scale;
    if (p->softcap != 0) z[i] = tanh(z[i]) * p->outer_scale;
    if (z[i] > m || (z[i] != z[i] && m == m)) m = z[i], row.top = i;
  }
  for (int64_t i = 0; i < C; i++) {
    s += e[i] = exp(z[i] - m);
    if (e[i] != 0) inner += e[i] * (z[i] - m);
    t[i] = (p->weight ? p->weight[i] : 1) * (p->share + p->on_label * (target ? target[i * p->inner] : i == label));
    targets += t[i];
  }
  row.logsumexp = isinf(m) && m > 0 ? m : m + log(s);
  row.entropy = log(s) - inner / s;
  const double n = p->weight && label >= 0 ? p->weight[label] : 1;
  for (int64_t i = 0; i < C; i++) {
    double others = 0, less = e[i] / s;
    for (int64_t j = 0; j < C; j++) others += j == i ? 0 : e[j];
    const double log_p = e[i] > others ? z[i] - m - log1p(others / e[i]) : z[i] - m - log(s);
    const double lse = 2 * p->z_loss * n * row.logsumexp;
    if (p->statistics) {
      if (i == label) row.loss = log_p;
      gradient[i] = c[2] * less - c[1] * (e[i] != 0 ? less * (log_p + row.entropy) : 0);
      if (label >= 0) gradient[i] += c[0] * (i == label ? others / s : -less);
    } else {
      if (t[i] != 0) row.loss -= t[i] * log_p;
      gradient[i] = c[0] * (less * (targets - t[i]) - t[i] * others / s + lse * less);
    }
    if (p->softcap != 0) gradient[i] *= 1 - pow(z[i] / p->outer_scale, 2);
    if (m != m || isinf(m)) gradient[i] = NAN;
  }
  if (!p->statistics) row.loss += p->z_loss * n * row.logsumexp * row.logsumexp;
  if (m != m || isinf(m)) row.loss = NAN;
  free(e);
  return row;
}

// --- comparison ----------------------------------------------------------------------------------------------------

static void compare(const struct job *p, const char *what, int64_t r, double found, double exact, double rtol, double atol) {
  const float nearest = (float)exact;
  const int alike = exact != exact ? found != found : found == nearest || fabs(found - exact) <= atol + rtol * fabs(exact);
  compared++;
  if (alike || wrong++ > 20) return;
  printf("isa %d, dtype %d, (%d, %d, %d), statistics %d, share %g: %s of row %d is %.9g, not %.9g\n", p->isa, p->dtype,
         (int)p->outer, (int)p->classes, (int)p->inner, p->statistics, p->share, what, (int)r, found, exact);
}

// Rows of a job whose logits and labels are there; relative errors alone count where `digits` is 1.
static void check(struct job *p, const struct options *o, int digits) {
  const int64_t C = p->classes, rows = p->outer * p->inner;
  const double epsilon = EPSILON[p->dtype], tiny = p->dtype == FLOAT16 ? 6e-8 : 1e-38;
  float *weight = malloc(C * sizeof *weight), *c = malloc(3 * rows * sizeof *c), *out = malloc(3 * rows * sizeof *out);
  float *target = malloc(C * rows * sizeof *target);
  const int64_t *labels = p->label;
  int64_t *top = malloc(rows * sizeof *top);
  double *z = malloc(2 * C * sizeof *z), *g = z + C, weights = 0;
  for (int64_t i = 0; i < C; i++) weights += weight[i] = o->weighted ? any() + 0.1f : 1;
  for (int64_t i = 0; i < 3 * rows; i++) c[i] = any() + 0.1f;
  p->row = p->gradient_row = C * p->inner, p->across = p->gradient_across = p->inner, p->ignore_index = IGNORED;
  p->weight = o->weighted ? weight : 0, p->statistics = o->statistics;
  p->coefficient = c, p->coefficient_step = 1, p->coefficient_kind = rows;
  p->inner_scale = o->softcap != 0 ? 1 / o->softcap : 1, p->softcap = p->outer_scale = o->softcap;
  p->share = o->smoothing / (float)C, p->uniform = p->share * (float)weights;
  p->on_label = 1 - o->smoothing, p->z_loss = o->z_loss;
  p->loss = out, p->entropy = out + rows, p->logsumexp = out + 2 * rows, p->top = o->statistics ? top : 0;
  for (int64_t i = 0; i < C * rows; i++) target[i] = 2 * any() / (float)C;
  p->target = o->soft ? target : 0, p->target_row = p->row, p->target_across = p->across, p->target_dtype = FLOAT32;
  if (o->soft) p->label = 0;
  if (run(p)) wrong++;
  for (int64_t r = 0; r < rows; r++) {
    const int64_t at = r / p->inner * C * p->inner + r % p->inner, label = o->soft || labels[r] == IGNORED ? -1 : labels[r];
    for (int64_t i = 0; i < C; i++) z[i] = get(p->logits, at + i * p->inner, p->dtype);
    const float by[] = {c[r], c[rows + r], c[2 * rows + r]};
    struct row exact = reference(p, z, g, label, o->soft ? target + at : 0, by);
    if (label < 0 && !p->statistics && !o->soft) exact.loss = 0, memset(g, 0, C * sizeof *g);
    if (label < 0 && p->statistics) exact.loss = 0;
    const double atol = digits ? 1e-30 : 4e-7 * sqrt((double)C);
    compare(p, "loss", r, out[r], exact.loss, 4e-6, atol);
    if (p->statistics) {
      compare(p, "entropy", r, out[rows + r], exact.entropy, 4e-6, 4e-6);
      compare(p, "logsumexp", r, out[2 * rows + r], exact.logsumexp, 4e-6, 4e-6);
      compare(p, "argmax", r, (double)top[r], (double)exact.top, 0, 0);
    }
    for (int64_t i = 0; i < C; i++)
      compare(p, "gradient", r, get(p->gradient, at + i * p->inner, p->dtype), g[i], 2e-5 + epsilon, digits ? 1e-30 : 4e-6 + tiny);
  }
  p->label = labels;
  free(weight), free(c), free(out), free(top), free(z), free(target);
}

// Log-probabilities of such rows, and their gradient, where p_k of the largest has its digits: 1 − p_k is the others' sum.
static void check_log_softmax(struct job p) {
  const int64_t C = p.classes, I = p.inner, rows = p.outer * I, size = rows * C;
  const double epsilon = EPSILON[p.dtype], tiny = p.dtype == FLOAT16 ? 6e-8 : 1e-38;
  float *log_p = malloc(size * sizeof *log_p), *slope = malloc(size * sizeof *slope), *g = malloc(size * sizeof *g);
  float *numbers = malloc(2 * rows * sizeof *numbers);
  for (int64_t i = 0; i < size; i++) put(g, i, p.dtype, 2 * any() - 1);
  p.row = p.gradient_row = C * I, p.across = p.gradient_across = I, p.maximum = numbers, p.normaliser = numbers + rows;
  struct job q = p;
  p.task = NORMALISE, p.gradient = log_p;
  q.task = PROJECT, q.gradient = slope, q.upstream = g;
  if (p.dtype == FLOAT32) q.logits = log_p;
  if (run(&p) || run(&q)) wrong++;
  for (int64_t r = 0; r < rows; r++) {
    const int64_t at = r / I * C * I + r % I;
    int64_t k = 0;
    double m = -INFINITY, others = 0, sum = 0, terms = 0;
    for (int64_t i = 0; i < C; i++) {
      const double z = get(p.logits, at + i * I, p.dtype);
      if (z > m || z != z) m = z, k = i;
    }
    for (int64_t i = 0; i < C; i++) {
      others += i == k ? 0 : exp(get(p.logits, at + i * I, p.dtype) - m);
      sum += i == k ? 0 : get(g, at + i * I, p.dtype), terms += fabs(get(g, at + i * I, p.dtype));
    }
    const double log_s = isinf(m) ? NAN : log1p(others), g_k = get(g, at + k * I, p.dtype);
    for (int64_t i = 0; i < C; i++) {
      const double z = get(p.logits, at + i * I, p.dtype) - m - log_s, probability = exp(z), mine = get(g, at + i * I, p.dtype);
      double exact = i == k ? mine * others / (1 + others) - probability * sum : mine - probability * (sum + g_k);
      compare(&p, "log p", r, get(log_p, at + i * I, p.dtype), z, 1e-6 + epsilon, tiny);
      compare(&q, "slope", r, get(slope, at + i * I, p.dtype), exact, 2 * epsilon, 4e-6 * (fabs(mine) + probability * terms) + tiny);
    }
  }
  free(log_p), free(slope), free(g), free(numbers);
}

int main(int count, char **arguments) {
  void *library = count > 1 ? (void *)OPEN(arguments[1]) : 0;
  if (!library) return fprintf(stderr, "no library\n"), 2;
  run = (int32_t(*)(struct job *))FIND(library, "crossentropy_run"), isa = (int32_t(*)(int32_t))FIND(library, "crossentropy_isa");
  int sets = 0;
  for (int set = 1; set <= 4; set++) {
    if (isa(set) != set) continue;
    sets++;
    for (int dtype = FLOAT32; dtype <= FLOAT16; dtype++)
      for (int64_t s = 0; s < COUNT(SHAPES) + 2; s++) {
        const int hostile = s >= COUNT(SHAPES), across = s > COUNT(SHAPES);
        const int64_t n = COUNT(HOSTILE);
        struct job p = {.isa = set, .dtype = dtype, .outer = across ? 1 : n, .classes = 3, .inner = across ? n : 1};
        if (!hostile) p.outer = SHAPES[s][0], p.classes = SHAPES[s][1], p.inner = SHAPES[s][2];
        const int64_t rows = p.outer * p.inner, size = rows * p.classes;
        float *logits = malloc(size * sizeof *logits), *gradient = malloc(size * sizeof *gradient);
        int64_t *label = malloc(rows * sizeof *label);
        p.logits = logits, p.gradient = gradient, p.label = label;
        for (int64_t i = 0; i < size; i++) put(logits, i, dtype, 16 * any() - 8);
        for (int64_t i = 0; hostile && i < size; i++) put(logits, i, dtype, across ? HOSTILE[i % n][i / n] : HOSTILE[i / 3][i % 3]);
        for (int64_t o = 0; o < (hostile ? 1 : COUNT(OPTIONS)); o++)
          for (int64_t k = 0; k < (hostile ? 3 : 1); k++) {
            for (int64_t r = 0; r < rows; r++) label[r] = hostile ? k : (int64_t)(any() * (float)p.classes);
            if (!hostile) label[rows - 1] = IGNORED;
            for (p.far = 0; p.far < 2; p.far++) check(&p, &OPTIONS[o], hostile && dtype == FLOAT32);
          }
        for (p.far = 0; p.far < 2; p.far++) check_log_softmax(p);
        free(logits), free(gradient), free(label);
      }
  }
  printf("%d instruction set(s): %lld numbers compared, %lld wrong\n", sets, (long long)compared, (long long)wrong);
  return !sets || wrong;
}
