// The best instruction set of this machine, and the threads of whoever calls.
#include "job.h"

// Positions of a strip: logits of all classes stay in the second cache, whole lines of them.
int64_t crossentropy_strip(const struct job *p) {
  const int64_t most = 65536 / p->classes / 16 * 16, wide = (p->inner + 15) / 16 * 16, s = most < 16 ? 16 : most > 256 ? 256 : most;
  return s < wide ? s : wide;
}

enum { SSE4 = 1, AVX2, AVX512, NEON };

static int best(void) {
#if defined(__x86_64__) || defined(_M_X64)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) return AVX512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c")) return AVX2;
  return __builtin_cpu_supports("sse4.1") ? SSE4 : 0;
#else
  return NEON;
#endif
}

// The instruction set that is used: that which is asked for, if this machine has it; 0 if it has none.
int32_t crossentropy_isa(int32_t asked) {
  const int most = best();
  return asked && asked <= most ? asked : most;
}

static work *of(int isa) {
#if defined(__x86_64__) || defined(_M_X64)
  return isa == AVX512 ? crossentropy_avx512 : isa == AVX2 ? crossentropy_avx2 : crossentropy_sse4;
#else
  (void)isa;
  return crossentropy_neon;
#endif
}

static void part(int64_t begin, int64_t end, void *job) {
  const struct job *p = job;
  of(p->isa)(p, begin, end);
}

// All of a job. Each row is one thread's, so that no result depends on how many there are. 0, or 1: memory was lacking.
int32_t crossentropy_run(struct job *p) {
  int32_t failed = 0;
  p->failed = &failed;
  p->isa = crossentropy_isa(p->isa);
  const int64_t s = p->inner == 1 ? 1 : crossentropy_strip(p), units = p->outer * ((p->inner + s - 1) / s);
  const int64_t grain = 32768 / (s * p->classes) + 1;
  if (units <= grain || !p->parallel) part(0, units, p);
  else p->parallel(0, units, grain, part, p);
  return failed;
}
