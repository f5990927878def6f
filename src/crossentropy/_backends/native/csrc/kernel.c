// The kernels for one instruction set. Compiled once for each: -DW=8 -DNAME=crossentropy_avx2 -mavx2 -mfma -mf16c
#include <stdlib.h>
#include "rows.h"

#define BLOCK 1024  // logits whose largest is found before their exponentials are summed: they stay in the first cache
#define SHORT 64    // classes whose exponentials are summed before they meet the others: a sum of sums rounds less
#define STRIP 256   // positions at most that are worked on together

#define T float
#define D(x) x##_f32
#include "storage.h"
#undef T
#undef D
#define T uint16_t
#define D(x) x##_bf16
#include "storage.h"
#undef D
#define D(x) x##_f16
#include "storage.h"

void NAME(const struct job *p, int64_t begin, int64_t end) {
  const int64_t width = p->inner > 1 ? crossentropy_strip(p) : p->classes > BLOCK ? 1 : W;
  float *room = 0;
  if (p->inner > 1 || how_of(p) & (TRANSFORMED | KEPT)) {
    room = malloc((size_t)(width * p->classes) * (p->task == PROJECT ? 2 : 1) * sizeof *room);
    if (!room) {
      *p->failed = 1;
      return;
    }
  }
  (p->dtype == FLOAT32 ? work_f32 : p->dtype == BFLOAT16 ? work_bf16 : work_f16)(p, begin, end, room);
  free(room);
}
