// What Python asks for: rows of logits, what belongs to them, and where the results go. No header of torch's is needed.
//
//     rows          of classes that lie together: `outer` rows, `row` entries apart
//     strips        of positions that lie together (inner > 1): logits (outer, classes, inner), classes `across` entries apart
//     elements      of a binary loss: `outer` blocks of `classes` that lie together, `row` elements in all
//
// A pointer may be null where nothing is wanted there. What belongs to rows is contiguous, (outer) or (outer, inner).
#ifndef CROSSENTROPY_JOB_H
#define CROSSENTROPY_JOB_H
#include <stdint.h>

enum dtype { FLOAT32, BFLOAT16, FLOAT16 };
enum task {
  COMPLETE,  // rows of all classes: statistics, results and, if wanted, gradients
  MEASURE,   // statistics of a block of classes
  DERIVE,    // gradients of a block of classes, of rows whose statistics are known
  NORMALISE, // log-probabilities of rows of all classes, where else the gradient goes
  PROJECT,   // gradients of logits from those of their log-probabilities, which stand for the logits in float32
  BINARY,    // losses of elements, or their sums over each block in `mass`; or gradients: coefficient times outer_scale
};

struct job {
  int32_t task, dtype;
  int32_t statistics;  // token statistics, whose class apart is the largest; else cross entropy, where it is the label if
                       // there are labels, and the largest against probabilities
  int32_t far;         // gradients are written past the caches
  int32_t isa;         // an instruction set, for tests; 0: the best of this machine
  int32_t target_dtype;  // that of the logits, or FLOAT32
  int64_t outer, classes, inner, row, across, gradient_row, gradient_across;
  const void *logits;
  void *gradient;  // may be the logits
  const void *upstream;  // of log-probabilities, placed as the gradient
  const int64_t *label;
  const void *target;  // or class probabilities, which lie as the logits do
  int64_t target_row, target_across;
  int64_t begin;         // the first class of these, which labels count from 0
  int64_t ignore_index;
  const float *weight;  // of classes, of these alone where they are a block
  const float *coefficient;  // of rows; three of each for token statistics: (3, rows)
  int64_t coefficient_step, coefficient_kind;  // from row to row, 0 where one number stands for all; from kind to kind
  float inner_scale, softcap, outer_scale;     // z = outer_scale softcap tanh(inner_scale x / softcap), or inner_scale x
  float share, uniform, on_label, z_loss;      // ε/C · ε times the mean class weight · 1 − ε · λ
  float *loss;                                 // cross entropy; else log_prob
  float *entropy, *logsumexp;
  float *maximum, *others, *apart, *weighted, *mass, *elsewhere, *energy, *at_label;  // statistics; and what DERIVE is given:
  int64_t *top;
  float *normaliser;  // log Σ exp(z − m): NORMALISE leaves it and the maximum where wanted, PROJECT needs both for logits
  const float *scale, *tilt, *peak, *pull;  // G = e (scale + tilt d) − pull w, or − c τ; at the class apart `peak`
  const float *pos_weight;  // of elements, as weight is; 0 entries, or `classes`, from a block to the next
  int64_t weight_row, pos_weight_row;
  const float *extra;                       // added at the label, where that is not apart
  void (*parallel)(int64_t, int64_t, int64_t, void (*)(int64_t, int64_t, void *), void *);
  int32_t *failed;
};

typedef void work(const struct job *, int64_t begin, int64_t end);
work crossentropy_sse4, crossentropy_avx2, crossentropy_avx512, crossentropy_neon;
int64_t crossentropy_strip(const struct job *);

#ifdef _WIN32
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif
// What callers must agree with: the number grows when tasks or fields change, and so may the size.
#define VERSION 3
EXPORT int32_t crossentropy_version(void);
EXPORT int32_t crossentropy_isa(int32_t asked);
EXPORT int32_t crossentropy_run(struct job *);
#endif
