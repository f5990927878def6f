// W floats at once, as GCC's and Clang's vector types: arithmetic without intrinsics, which are left for what those types
// cannot say. exp, log, log1p and tanh of lanes, and the three dtypes in memory.
#include <math.h>
#include <stdint.h>
#include <string.h>
#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define INLINE static inline __attribute__((always_inline))

typedef float V __attribute__((vector_size(4 * W)));
typedef int32_t I __attribute__((vector_size(4 * W)));
typedef uint32_t U __attribute__((vector_size(4 * W)));
typedef uint16_t H __attribute__((vector_size(2 * W)));
// in memory, at any address (GCC 12 takes memcpy of a vector through the stack in halves, 3 times slower)
typedef float MV __attribute__((vector_size(4 * W), aligned(4), may_alias));
typedef int32_t MI __attribute__((vector_size(4 * W), aligned(4), may_alias));
typedef uint16_t MH __attribute__((vector_size(2 * W), aligned(2), may_alias));

INLINE V all(float x) { return (V){0} + x; }
INLINE I counted(void) {
  I i;
  for (int j = 0; j < W; j++) i[j] = j;
  return i;
}
INLINE int any(I mask) {
#if W == 16
  return _mm512_test_epi32_mask((__m512i)mask, (__m512i)mask) != 0;
#elif W == 8
  return _mm256_movemask_ps((__m256)mask);
#elif defined(__SSE2__)
  return _mm_movemask_ps((__m128)mask);
#else
  return vmaxvq_u32((uint32x4_t)mask) != 0;
#endif
}
INLINE V pick(I mask, V a, V b) { return (V)((mask & (I)a) | (~mask & (I)b)); }

// The larger of two; x where one of them is nan.
INLINE V larger(V low, V x) {
#if W == 16
  return (V)_mm512_max_ps((__m512)low, (__m512)x);
#elif W == 8
  return (V)_mm256_max_ps((__m256)low, (__m256)x);
#elif defined(__SSE2__)
  return (V)_mm_max_ps((__m128)low, (__m128)x);
#else
  return pick((I)(low > x), low, x);
#endif
}

// Lanes and those that are h (a power of two) away.
#ifdef __clang__
#define SHUFFLED(v, ...) __builtin_shufflevector(v, v, __VA_ARGS__)
#else
#define SHUFFLED(v, ...) __builtin_shuffle(v, (I){__VA_ARGS__})
#endif
#define FOUR(i, h) (i) ^ (h), (i + 1) ^ (h), (i + 2) ^ (h), (i + 3) ^ (h)
#if W == 16
#define AWAY(v, h) SHUFFLED(v, FOUR(0, h), FOUR(4, h), FOUR(8, h), FOUR(12, h))
#elif W == 8
#define AWAY(v, h) SHUFFLED(v, FOUR(0, h), FOUR(4, h))
#else
#define AWAY(v, h) SHUFFLED(v, FOUR(0, h))
#endif

INLINE float largest(V v) {
#if W == 16
  v = larger(v, AWAY(v, 8));
#endif
#if W >= 8
  v = larger(v, AWAY(v, 4));
#endif
  v = larger(v, AWAY(v, 2));
  return larger(v, AWAY(v, 1))[0];
}

INLINE float total(V v) {
#if W == 16
  v += AWAY(v, 8);
#endif
#if W >= 8
  v += AWAY(v, 4);
#endif
  v += AWAY(v, 2);
  return (v + AWAY(v, 1))[0];
}

// 2^64 exp(x) for x ≤ 0, to 1 ulp; 0 below −132.1, which is −inf too; nan stays. UNIT, which sums and factors take out
// again, keeps results exact that would be denormal.
//
// x = n log 2 + r: exp(r) = 1 + r + r² p(r), p the polynomial of least relative error (3e-9). The integer n + 191 is in the
// low bits of t, where a shift makes it an exponent; for n = −191 that is the number 0.
#define UNIT 0x1p-64f
INLINE V exponential(V x) {
  const V magic = all(0x1.8p23f + 191);
  x = larger(all(-132.5f), x);
  V t = x * 1.44269504f + magic, n = t - magic;
  V r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  V p = 1.381461326e-3f * r + 8.368709824e-3f;
  p = p * r + 4.166838736e-2f;
  p = p * r + 1.666652069e-1f;
  p = p * r + 4.999999345e-1f;
  p = p * (r * r) + (r + 1.f);
  return p * (V)((I)t << 23);
}
// x but where d is 0.
INLINE V without(V x, V d) { return (V)((I)x & (I)(d != 0.f)); }
INLINE float exponential_of(float x) { return exponential(all(x))[0] * UNIT; }

// log(u) for u ≥ 1, to 1 ulp; −inf of 0; inf and nan stay. u = 2^k (1 + f) with f from −0.293 to 0.414.
INLINE V logarithm(V u) {
  I k = ((I)u - 0x3f3504f3) >> 23;
  V n = __builtin_convertvector(k, V), f = (V)((I)u - (k << 23)) - 1.f, q = f * f;
  V p = -7.63450291e-2f * f + 1.276157735e-1f;
  p = p * f - 1.316018047e-1f;
  p = p * f + 1.4201758e-1f;
  p = p * f - 1.662335753e-1f;
  p = p * f + 2.000122687e-1f;
  p = p * f - 2.500082103e-1f;
  p = p * f + 3.333333171e-1f;
  V r = f * q * p - n * 2.12194440e-4f;
  r = (r - 0.5f * q) + f + n * 0.693359375f;
  return pick((I)(u == 0.f), all(-INFINITY), r + (u - u));
}

// log(1 + x) for x ≥ 0, accurate relative to itself: log(u) of the rounded u, and what rounding took.
INLINE V logarithm1p(V x) {
  V u = 1.f + x;
  return logarithm(u) + (x - (u - 1.f)) / u;
}

INLINE V hyperbolic(V x) {  // tanh
  V a = (V)((I)x & 0x7fffffff), e = exponential(-2.f * a) * UNIT, q = x * x;
  V p = -5.717045483e-3f * q + 2.06505877e-2f;
  p = p * q - 5.374349821e-2f;
  p = p * q + 1.333149129e-1f;
  p = p * q - 3.333328393e-1f;
  V big = (V)((I)((1.f - e) / (1.f + e)) | ((I)x & INT32_MIN));
  return pick((I)(a < 0.625f), x + x * q * p, big);
}

// A line of 64 bytes past the caches.
INLINE void stream(void *to, const void *line) {
#if W == 16
  _mm512_stream_si512(to, _mm512_load_si512(line));
#elif W == 8
  _mm256_stream_si256(to, _mm256_load_si256(line));
  _mm256_stream_si256((__m256i *)to + 1, _mm256_load_si256((const __m256i *)line + 1));
#elif defined(__SSE2__)
  for (int i = 0; i < 4; i++) _mm_stream_si128((__m128i *)to + i, _mm_load_si128((const __m128i *)line + i));
#else
  memcpy(to, line, 64);
#endif
}
INLINE void fence(void) {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

// --- float32 -------------------------------------------------------------------------------------------------------

INLINE V load_f32(const float *p) { return *(const MV *)p; }
INLINE V narrow_f32(V v) { return v; }
INLINE void store_f32(float *p, V v) { *(MV *)p = v; }
// the last n < W entries; `fill` in the other lanes
INLINE V part_f32(const float *p, int n, float fill) {
#if W == 16
  return (V)_mm512_mask_loadu_ps((__m512)all(fill), (__mmask16)((1u << n) - 1), p);
#elif W == 8
  I there = (I)(counted() < n);
  return pick(there, (V)_mm256_maskload_ps(p, (__m256i)there), all(fill));
#else
  V v = all(fill);
  for (int j = 0; j < n; j++) v[j] = p[j];
  return v;
#endif
}
INLINE void rest_f32(float *p, V v, int n) {
#if W == 16
  _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
#elif W == 8
  _mm256_maskstore_ps(p, (__m256i)(counted() < n), (__m256)v);
#else
  for (int j = 0; j < n; j++) p[j] = v[j];
#endif
}

// --- bfloat16 ------------------------------------------------------------------------------------------------------

// what __builtin_convertvector says, for which GCC 12 has several instructions
INLINE U widened(H h) {
#if W == 16
  return (U)_mm512_cvtepu16_epi32((__m256i)h);
#elif W == 8
  return (U)_mm256_cvtepu16_epi32((__m128i)h);
#else
  return __builtin_convertvector(h, U);
#endif
}
INLINE H upper(U u) {  // the upper halves
#if W == 16
  return (H)_mm512_cvtepi32_epi16((__m512i)(u >> 16));
#elif W == 8
  const __m256i halves = _mm256_setr_epi8(2, 3, 6, 7, 10, 11, 14, 15, -1, -1, -1, -1, -1, -1, -1, -1,
                                          2, 3, 6, 7, 10, 11, 14, 15, -1, -1, -1, -1, -1, -1, -1, -1);
  return (H)_mm256_castsi256_si128(_mm256_permute4x64_epi64(_mm256_shuffle_epi8((__m256i)u, halves), 0xd8));
#else
  return __builtin_convertvector(u >> 16, H);
#endif
}
INLINE V widen_bf16(H h) { return (V)(widened(h) << 16); }
INLINE H narrow_bf16(V v) {  // to the nearest, ties to even; nan of arithmetic stays nan
  U u = (U)v;
  return upper(u + 0x7fff + ((u >> 16) & 1));
}

// --- float16 -------------------------------------------------------------------------------------------------------

#if W == 16
INLINE V widen_f16(H h) { return (V)_mm512_cvtph_ps((__m256i)h); }
INLINE H narrow_f16(V v) { return (H)_mm512_cvtps_ph((__m512)v, 0); }
#elif W == 8
INLINE V widen_f16(H h) { return (V)_mm256_cvtph_ps((__m128i)h); }
INLINE H narrow_f16(V v) { return (H)_mm256_cvtps_ph((__m256)v, 0); }
#elif defined(__aarch64__)
INLINE V widen_f16(H h) { return (V)vcvt_f32_f16((float16x4_t)h); }
INLINE H narrow_f16(V v) { return (H)vcvt_f16_f32((float32x4_t)v); }
#else  // in bits, for GCC has no _Float16 for SSE before 12, nor Clang before 15
INLINE V widen_f16(H h) {
  I i = __builtin_convertvector(h, I), a = (i & 0x7fff) << 13;  // 2^112 too small
  I odd = (a >= 0x7c00 << 13) & 0x7f800000;                      // inf and nan
  return (V)((I)((V)a * 0x1p112f) | odd | (i & 0x8000) << 16);
}
INLINE H narrow_f16(V v) {  // to the nearest, ties to even
  I i = (I)v, a = i & 0x7fffffff;
  V normal = (V)((a + 0xfff + ((a >> 13) & 1) - (112 << 23)) >> 13), inf = (V)((I){0} + 0x7c00), nan = (V)((I){0} + 0x7e00);
  V denormal = (V)((I)((V)a + 0.5f) - 0x3f000000);  // an ulp of 0.5 is the unit of float16's denormals
  V finite = pick(a < 0x38800000, denormal, normal), all_but_nan = pick(a < 0x47800000, finite, inf);
  return __builtin_convertvector((U)pick(a > 0x7f800000, nan, all_but_nan) | ((U)i >> 16 & 0x8000), H);
}
#endif

// --- the two of two bytes ------------------------------------------------------------------------------------------

INLINE H load_half(const uint16_t *p) { return *(const MH *)p; }
INLINE H part_half(const uint16_t *p, int n) {
#if W == 16
  return (H)_mm256_maskz_loadu_epi16((__mmask16)((1u << n) - 1), p);
#else
  H h = {0};
  for (int j = 0; j < n; j++) h[j] = p[j];
  return h;
#endif
}
INLINE void rest_half(uint16_t *p, H h, int n) {
#if W == 16
  _mm256_mask_storeu_epi16(p, (__mmask16)((1u << n) - 1), (__m256i)h);
#else
  for (int j = 0; j < n; j++) p[j] = h[j];
#endif
}
INLINE V filled(V v, int n, float fill) { return pick((I)(counted() < n), v, all(fill)); }

INLINE V load_bf16(const uint16_t *p) { return widen_bf16(load_half(p)); }
INLINE V part_bf16(const uint16_t *p, int n, float fill) { return filled(widen_bf16(part_half(p, n)), n, fill); }
INLINE void store_bf16(uint16_t *p, V v) { *(MH *)p = narrow_bf16(v); }
INLINE void rest_bf16(uint16_t *p, V v, int n) { rest_half(p, narrow_bf16(v), n); }

INLINE V load_f16(const uint16_t *p) { return widen_f16(load_half(p)); }
INLINE V part_f16(const uint16_t *p, int n, float fill) { return filled(widen_f16(part_half(p, n)), n, fill); }
INLINE void store_f16(uint16_t *p, V v) { *(MH *)p = narrow_f16(v); }
INLINE void rest_f16(uint16_t *p, V v, int n) { rest_half(p, narrow_f16(v), n); }
