// The best instruction set of this machine, and the threads of whoever calls.
#include "job.h"

// Positions of a strip: logits of all classes stay in the second cache, whole lines of them, and upstreams beside them.
int64_t crossentropy_strip(const struct job *p) {
  const int64_t most = 65536 / p->classes / (p->task == PROJECT ? 32 : 16) * 16, wide = (p->inner + 15) / 16 * 16, s = most < 16 ? 16 : most > 256 ? 256 : most;
  return s < wide ? s : wide;
}

enum { SSE4 = 1, AVX2, AVX512, NEON };

#if defined(__x86_64__) || defined(_M_X64)
#include <cpuid.h>

enum { LEAST = SSE4 };
static int most;

static int has(uint32_t word, uint32_t bits) { return (word & bits) == bits; }

// What the processor has, and what of it the system saves (XCR0: 6 for AVX, 0xe0 more for AVX-512). Not by
// __builtin_cpu_supports, which zig links as a stub that knows nothing; and once, for in a virtual machine it takes 20 µs.
__attribute__((constructor)) static void look(void) {
  uint32_t a, b = 0, c = 0, d, wide = 0, saved = 0;
  __get_cpuid_count(7, 0, &a, &wide, &c, &d);
  __get_cpuid(1, &a, &b, &c, &d);
  if (has(c, bit_OSXSAVE)) __asm__("xgetbv" : "=a"(saved), "=d"(d) : "c"(0));
  if (has(c, bit_SSE4_1)) most = SSE4;
  if (has(saved, 6) && has(c, bit_AVX | bit_FMA | bit_F16C) && has(wide, bit_AVX2)) most = AVX2;
  if (most == AVX2 && has(saved, 0xe6) && has(wide, bit_AVX512F | bit_AVX512BW | bit_AVX512VL)) most = AVX512;
}
#else
enum { LEAST = NEON, most = NEON };
#endif

// The instruction set that is used: that which is asked for, if this machine has it; 0 if it has none.
int32_t crossentropy_isa(int32_t asked) {
  return asked < LEAST || asked > most ? most : asked;
}

int32_t crossentropy_version(void) { return VERSION * 10000 + (int32_t)sizeof(struct job); }

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
  const int64_t grain = 8192 / (s * p->classes) + 1;
  if (units <= grain || !p->parallel) part(0, units, p);
  else p->parallel(0, units, grain, part, p);
  return failed;
}
